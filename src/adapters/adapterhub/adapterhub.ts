import type { JsonObject } from '../../core/json.ts'
import type { SafetensorsFile } from '../../safetensors/file.ts'
import { fieldRefusal } from '../config-fields.ts'
import type { ParsedAdapter } from '../parsed.ts'
import { parseBottleneck } from './bottleneck.ts'
import { parseLora } from './lora.ts'
import { readOuterConfig } from './outer-config.ts'
import { parsePrefix } from './prefix.ts'

/**
 * Reads an adapter saved by the `adapters` library.
 *
 * @throws TroupeError `invalid_adapter` or `unsupported_adapter` naming the field or tensor
 */
export function parseAdapterHub(json: JsonObject, file: SafetensorsFile): ParsedAdapter {
  const outer = readOuterConfig(json)
  // Bottleneck adapters name no architecture.
  const architecture = outer.inner['architecture'] ?? null
  switch (architecture) {
    case null:
      return parseBottleneck(outer, file)
    case 'lora':
      return parseLora(outer, file)
    case 'prefix_tuning':
      return parsePrefix(outer, file)
    default: {
      const expected = 'supported: none (bottleneck adapters), "lora", "prefix_tuning"'
      throw fieldRefusal('unsupported_adapter', 'architecture', architecture, expected)
    }
  }
}
