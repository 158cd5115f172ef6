import { TroupeError } from '../../core/errors.ts'
import type { JsonObject } from '../../core/json.ts'
import type { Architecture } from '../architecture.ts'
import type { Family } from './decoder.ts'
import { readDecoder } from './decoder.ts'
import { LLAMA } from './llama.ts'
import { QWEN2 } from './qwen2.ts'
import { QWEN3 } from './qwen3.ts'

const FAMILIES: readonly Family[] = [LLAMA, QWEN2, QWEN3]

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
