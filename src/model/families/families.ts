import { TroupeError } from '../../core/errors.ts'
import type { JsonObject } from '../../core/json.ts'
import type { Architecture } from '../architecture.ts'
import type { Family } from './decoder.ts'
import { readDecoder } from './decoder.ts'
import { GEMMA2 } from './gemma2.ts'
import { GEMMA3, GEMMA3_MULTIMODAL } from './gemma3.ts'
import { GPT_NEOX } from './gpt-neox.ts'
import { GPT2 } from './gpt2.ts'
import { GRANITE } from './granite.ts'
import { LLAMA } from './llama.ts'
import { MISTRAL } from './mistral.ts'
import { OPT } from './opt.ts'
import { PHI3 } from './phi3.ts'
import { QWEN2 } from './qwen2.ts'
import { QWEN3 } from './qwen3.ts'
import { SMOLLM3 } from './smollm3.ts'

const FAMILIES: readonly Family[] = [
  LLAMA,
  MISTRAL,
  QWEN2,
  QWEN3,
  GEMMA2,
  GEMMA3,
  GEMMA3_MULTIMODAL,
  PHI3,
  SMOLLM3,
  GRANITE,
  GPT2,
  GPT_NEOX,
  OPT,
]

/**
 * The architecture a `config.json` describes.
 *
 * @throws TroupeError `invalid_model` when the family or one of its fields is not supported
 */
export function readArchitecture(config: JsonObject): Architecture {
  return readDecoder(chooseFamily(config), config)
}

function chooseFamily(config: JsonObject): Family {
  const { architectures, model_type: modelType } = config
  const className: unknown = Array.isArray(architectures) ? architectures[0] : undefined
  const family = FAMILIES.find((one) => (className ?? one.className) === one.className && modelType === one.modelType)
  if (family !== undefined) return family
  const supported = FAMILIES.map((one) => `${one.className} (${one.modelType})`).join(', ')
  const found = `architectures ${JSON.stringify(architectures ?? null)}, model_type ${JSON.stringify(modelType ?? null)}`
  throw new TroupeError('invalid_model', `config.json: ${found} is not supported; supported are ${supported}`, {
    param: className === undefined ? 'model_type' : 'architectures',
  })
}
