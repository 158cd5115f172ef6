import type { JsonObject } from '../../core/json.ts'
import { isJsonObject } from '../../core/json.ts'
import { checkFields, fieldRefusal, readFlag, readNames } from '../config-fields.ts'
import type { Targets } from './targets.ts'
import { TARGET_FIELDS, readTargets } from './targets.ts'

/** What every method that changes modules has in its configuration. */
export interface TunerConfig {
  readonly targets: Targets
  /** The adapted modules' weights are `[in, out]`. Changes nothing but which base models fit. */
  readonly fanInFanOut: boolean
  readonly baseModel: string | null
  /** Names of modules that were trained whole. */
  readonly saved: readonly string[]
  /** Training kept head and embedding one matrix where they were one, whatever was saved. */
  readonly keptTied: boolean
  /** Ids of trained tokens by the end of the path of their module; a key of '' is the embedding, whatever it is called. */
  readonly tokens: ReadonlyMap<string, readonly number[]>
}

/** Fields of every configuration of PEFT that change nothing about what an adapter computes. */
const PROVENANCE = [
  'auto_mapping',
  'base_model_name_or_path',
  'inference_mode',
  'peft_version',
  'revision',
  'runtime_config',
]

/** What the adapter was trained for: without a head of its own it is the same adapter. */
const TASK_TYPES = ['CAUSAL_LM', 'SEQ_CLS', 'TOKEN_CLS', 'QUESTION_ANS', 'FEATURE_EXTRACTION']

/** Why fields that a user may well have set are refused. */
const REASONS: Readonly<Record<string, string>> = {
  init_lora_weights:
    'this way to begin changes the base model’s weights too, so the file alone is not the adapter: save it with PEFT’s `path_initial_model_for_weight_conversion`, ' +
    'which makes it a plain LoRA',
  bias: 'trained biases of the base model are not supported; train with "none"',
}

/** How fields of one method are treated; see `checkFields`. */
interface FieldRules {
  readonly read: readonly string[]
  readonly ignored: readonly string[]
  readonly allowed?: Readonly<Record<string, readonly unknown[]>>
}

/** Goes through every field of a configuration. @throws TroupeError `unsupported_adapter` naming the first that asks for more */
export function checkPeftFields(config: JsonObject, { read, ignored, allowed = {} }: FieldRules): void {
  checkFields(config, {
    read: [...read, 'peft_type'],
    ignored: [...ignored, ...PROVENANCE],
    allowed: { task_type: TASK_TYPES, bias: ['none'], ...allowed },
    reasons: REASONS,
  })
}

/** Reads what every method that changes modules has, after going through all fields. */
export function readTunerConfig(config: JsonObject, rules: FieldRules): TunerConfig {
  // Which modules were saved whole the tensors tell: those of a head that the model never had are not there.
  const own = ['fan_in_fan_out', 'modules_to_save', 'trainable_token_indices', 'ensure_weight_tying']
  checkPeftFields(config, { ...rules, read: [...rules.read, ...TARGET_FIELDS, ...own] })
  return {
    targets: readTargets(config),
    fanInFanOut: readFlag('fan_in_fan_out', config['fan_in_fan_out']),
    baseModel: readBaseModel(config),
    saved: readNames('modules_to_save', config['modules_to_save']) ?? [],
    keptTied: readFlag('ensure_weight_tying', config['ensure_weight_tying']),
    tokens: readTokens('trainable_token_indices', config['trainable_token_indices']),
  }
}

/** Ids of trained tokens: a list for the embedding, or an object with a list per module. @throws TroupeError `invalid_adapter` */
export function readTokens(field: string, value: unknown): ReadonlyMap<string, readonly number[]> {
  if (value === undefined || value === null) return new Map()
  const byModule: readonly (readonly [string, unknown])[] = isJsonObject(value) ? Object.entries(value) : [['', value]]
  const isId = (id: unknown): boolean => Number.isSafeInteger(id) && (id as number) >= 0
  return new Map(
    byModule.map(([module, ids]): [string, readonly number[]] => {
      if (Array.isArray(ids) && ids.every(isId)) return [module, ids as number[]]
      throw fieldRefusal(
        'invalid_adapter',
        field,
        value,
        'it must be a list of token ids, or an object with one per module',
      )
    }),
  )
}

/** Which base model the files name. */
export function readBaseModel(config: JsonObject): string | null {
  const value = config['base_model_name_or_path']
  return typeof value === 'string' && value.trim() !== '' ? value : null
}

/** Refuses an empty choice of modules where PEFT writes the one it made. */
export function requireTargets({ modules }: Targets): void {
  if (modules !== null) return
  throw fieldRefusal('invalid_adapter', 'target_modules', undefined, 'name the modules that the adapter changes')
}
