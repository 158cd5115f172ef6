import { TroupeError } from '../../core/errors.ts'
import type { JsonObject } from '../../core/json.ts'
import { isJsonObject } from '../../core/json.ts'
import type { ModelInfo } from '../../core/model-info.ts'
import { checkFields, fieldRefusal, readRank } from '../config-fields.ts'

/** What AdapterHub's `adapter_config.json` says about every adapter, whatever its method. */
export interface OuterConfig {
  /** Part of the tensors' names. */
  readonly name: string
  readonly modelType: string
  readonly hidden: number
  readonly baseModel: string | null
  /** The fields of the method. */
  readonly inner: JsonObject
}

const OUTER_RULES = {
  read: ['config', 'name', 'model_type', 'hidden_size', 'version'],
  ignored: ['model_class', 'model_name'],
  allowed: {},
}

/**
 * Reads what is common to all adapters saved by the `adapters` library.
 *
 * @throws TroupeError `unsupported_adapter` or `invalid_adapter` naming the field
 */
export function readOuterConfig(json: JsonObject): OuterConfig {
  checkFields(json, OUTER_RULES)
  const { version, config: inner, name, model_type: modelType, model_name: baseModel } = json
  if (typeof version !== 'string' || !version.startsWith('adapters.')) {
    const fix = 'load the adapter with a current release of adapters and save it again'
    throw fieldRefusal('unsupported_adapter', 'version', version, fix)
  }
  if (!isJsonObject(inner)) throw fieldRefusal('invalid_adapter', 'config', inner, 'it must be an object')
  return {
    name: readText('name', name),
    modelType: readText('model_type', modelType),
    hidden: readRank('hidden_size', json['hidden_size']),
    baseModel: typeof baseModel === 'string' && baseModel !== '' ? baseModel : null,
    inner,
  }
}

/** Checks that the base model is of the kind the adapter was made for. @throws TroupeError `base_mismatch` naming the field */
export function checkOuter({ modelType, hidden }: OuterConfig, info: ModelInfo): void {
  const fields = [
    ['model_type', modelType, info.family],
    ['hidden_size', hidden, info.hidden],
  ] as const
  for (const [field, found, expected] of fields) {
    if (found === expected) continue
    const text = `adapter_config.json: "${field}" is ${JSON.stringify(found)}, the base model ${info.name} has ${JSON.stringify(expected)}`
    throw new TroupeError('base_mismatch', text, { param: field })
  }
}

/** A text that is not empty. @throws TroupeError `invalid_adapter` naming the field */
export function readText(field: string, value: unknown): string {
  if (typeof value === 'string' && value !== '') return value
  throw fieldRefusal('invalid_adapter', field, value, 'it must be a text')
}
