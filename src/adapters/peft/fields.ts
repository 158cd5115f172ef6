import type { JsonObject } from '../../core/json.ts'
import { checkFields, fieldRefusal, readFlag } from '../config-fields.ts'
import type { Targets } from './targets.ts'
import { TARGET_FIELDS, readTargets } from './targets.ts'

/** What every method that changes modules has in its configuration. */
export interface TunerConfig {
  readonly targets: Targets
  /** The adapted modules' weights are `[in, out]`. Changes nothing but which base models fit. */
  readonly fanInFanOut: boolean
  readonly baseModel: string | null
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
  trainable_token_indices: 'rows of the embedding of its own are not supported; train a LoRA on the embedding',
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
  const ignored = [...rules.ignored, 'modules_to_save']
  checkPeftFields(config, { ...rules, ignored, read: [...rules.read, ...TARGET_FIELDS, 'fan_in_fan_out'] })
  return {
    targets: readTargets(config),
    fanInFanOut: readFlag('fan_in_fan_out', config['fan_in_fan_out']),
    baseModel: readBaseModel(config),
  }
}

/** Which base model the files name. */
export function readBaseModel(config: JsonObject): string | null {
  const value = config['base_model_name_or_path']
  return typeof value === 'string' ? value : null
}

/** Refuses an empty choice of modules where PEFT writes the one it made. */
export function requireTargets({ modules }: Targets): void {
  if (modules !== null) return
  throw fieldRefusal('invalid_adapter', 'target_modules', undefined, 'name the modules that the adapter changes')
}
