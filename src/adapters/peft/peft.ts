import type { JsonObject } from '../../core/json.ts'
import type { SafetensorsFile } from '../../safetensors/file.ts'
import { fieldRefusal } from '../config-fields.ts'
import type { ParsedAdapter } from '../parsed.ts'
import { parseAdalora } from './adalora.ts'
import { parseIa3 } from './ia3.ts'
import { parseLoha } from './loha.ts'
import { parseLokr } from './lokr.ts'
import { parseMiss } from './miss.ts'
import { parseLora } from './lora.ts'
import { parseTrainableTokens } from './trainable-tokens.ts'
import { parsePrefixTuning, parsePromptTuning } from './virtual-tokens.ts'
import { parseVera } from './vera.ts'

type Reader = (json: JsonObject, file: SafetensorsFile) => ParsedAdapter

/** By `peft_type`. */
const READERS: Readonly<Record<string, Reader>> = {
  LORA: parseLora,
  ADALORA: parseAdalora,
  IA3: parseIa3,
  VERA: parseVera,
  LOHA: parseLoha,
  LOKR: parseLokr,
  MISS: parseMiss,
  PROMPT_TUNING: parsePromptTuning,
  P_TUNING: parsePromptTuning,
  PREFIX_TUNING: parsePrefixTuning,
  TRAINABLE_TOKENS: parseTrainableTokens,
}

/** Methods whose update PEFT itself brings into the form of a LoRA, more or less exactly by its rank. */
const CONVERTIBLE = [
  'C3A',
  'DELORA',
  'FOURIERFT',
  'GRALORA',
  'HIRA',
  'PSOFT',
  'RANDLORA',
  'SHIRA',
  'TINYLORA',
  'VBLORA',
  'WAVEFT',
]
/** Methods that turn or rescale the base model's weights, or change its norms. */
const ROTATING = ['BOFT', 'HRA', 'LN_TUNING', 'OFT', 'ROAD']

/** What to do with an adapter of a method that is not supported. */
function wayOut(type: unknown): string {
  if (CONVERTIBLE.includes(type as string)) {
    return 'this method is not supported; load it with PEFT and save it as a LoRA: peft.save_as_lora("out", model, rank=32)'
  }
  if (ROTATING.includes(type as string)) {
    return 'this method changes the base model’s own weights, which one model for many adapters does not have; train a LoRA or DoRA, or serve merge_and_unload() as a base model'
  }
  return `supported: ${Object.keys(READERS).join(', ')}`
}

/**
 * Reads an adapter saved by PEFT.
 *
 * @throws TroupeError `invalid_adapter` or `unsupported_adapter` naming the field or tensor
 */
export function parsePeft(json: JsonObject, file: SafetensorsFile): ParsedAdapter {
  const type = json['peft_type']
  const reader = typeof type === 'string' && Object.hasOwn(READERS, type) ? READERS[type] : undefined
  if (reader !== undefined) return reader(json, file)
  throw fieldRefusal('unsupported_adapter', 'peft_type', type, wayOut(type))
}
