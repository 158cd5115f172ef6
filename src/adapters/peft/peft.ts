import type { JsonObject } from '../../core/json.ts'
import type { SafetensorsFile } from '../../safetensors/file.ts'
import { fieldRefusal } from '../config-fields.ts'
import type { ParsedAdapter } from '../parsed.ts'
import { parseIa3 } from './ia3.ts'
import { parseLoha } from './loha.ts'
import { parseLokr } from './lokr.ts'
import { parseLora } from './lora.ts'
import { parsePrefixTuning, parsePromptTuning } from './virtual-tokens.ts'
import { parseVera } from './vera.ts'

type Reader = (json: JsonObject, file: SafetensorsFile) => ParsedAdapter

/** By `peft_type`. */
const READERS: Readonly<Record<string, Reader>> = {
  LORA: parseLora,
  IA3: parseIa3,
  VERA: parseVera,
  LOHA: parseLoha,
  LOKR: parseLokr,
  PROMPT_TUNING: parsePromptTuning,
  P_TUNING: parsePromptTuning,
  PREFIX_TUNING: parsePrefixTuning,
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
  throw fieldRefusal('unsupported_adapter', 'peft_type', type, `supported: ${Object.keys(READERS).join(', ')}`)
}
