import type { JsonObject } from '../core/json.ts'
import { isJsonObject } from '../core/json.ts'
import { checkFields, fieldRefusal, readFlag, readLayers, readNames, readNumber, readRank } from './config-fields.ts'

/** What PEFT's `adapter_config.json` says about a LoRA, checked. */
export interface PeftConfig {
  readonly rank: number
  readonly alpha: number
  /** scale = alpha / √rank instead of alpha / rank (Kalajdzievski 2023). */
  readonly rankStabilised: boolean
  /** Python patterns over module paths; the first that matches wins. */
  readonly rankPattern: Readonly<Record<string, number>>
  readonly alphaPattern: Readonly<Record<string, number>>
  /** A list of module names or one Python pattern. */
  readonly targets: readonly string[] | string
  readonly excluded: readonly string[] | string
  readonly layers: readonly number[] | null
  readonly layersPattern: readonly string[]
  /** The adapted modules' weights are `[in, out]`. Changes nothing but which base models fit. */
  readonly fanInFanOut: boolean
  readonly baseModel: string | null
}

/** Modules that PEFT adapts in these families when the configuration names none. */
const DEFAULT_TARGETS = ['q_proj', 'v_proj']

const RULES = {
  read: [
    'r',
    'lora_alpha',
    'use_rslora',
    'rank_pattern',
    'alpha_pattern',
    'target_modules',
    'exclude_modules',
    'layers_to_transform',
    'layers_pattern',
    'fan_in_fan_out',
  ],
  ignored: [
    'auto_mapping',
    'base_model_name_or_path',
    'eva_config',
    'inference_mode',
    'lora_dropout',
    'megatron_core',
    'peft_version',
    'qalora_group_size',
    'revision',
    'runtime_config',
  ],
  allowed: {
    peft_type: ['LORA'],
    task_type: ['CAUSAL_LM'],
    bias: ['none'],
    // The other ways to begin change the base weights too, so the adapter alone would not do.
    init_lora_weights: [true, 'gaussian', 'orthogonal', 'eva', 'mica'],
  },
}

/**
 * Reads the configuration of a PEFT adapter.
 *
 * @throws TroupeError `unsupported_adapter` naming a field that asks for something else than plain LoRA, `invalid_adapter` naming one that
 * is malformed
 */
export function readPeftConfig(config: JsonObject): PeftConfig {
  if (config['peft_type'] !== 'LORA') {
    throw fieldRefusal('unsupported_adapter', 'peft_type', config['peft_type'], 'supported: "LORA"')
  }
  checkFields(config, RULES)
  const baseModel = config['base_model_name_or_path']
  return {
    rank: readRank('r', config['r']),
    alpha: readNumber('lora_alpha', config['lora_alpha']),
    rankStabilised: readFlag('use_rslora', config['use_rslora']),
    rankPattern: readPatterns('rank_pattern', config['rank_pattern'], readRank),
    alphaPattern: readPatterns('alpha_pattern', config['alpha_pattern'], readNumber),
    targets: readNameOrList('target_modules', config['target_modules']) ?? DEFAULT_TARGETS,
    excluded: readNameOrList('exclude_modules', config['exclude_modules']) ?? [],
    layers: layersOf(config['layers_to_transform']),
    layersPattern: [readNameOrList('layers_pattern', config['layers_pattern']) ?? []].flat(),
    fanInFanOut: readFlag('fan_in_fan_out', config['fan_in_fan_out']),
    baseModel: typeof baseModel === 'string' ? baseModel : null,
  }
}

function layersOf(value: unknown): readonly number[] | null {
  const layers = readLayers('layers_to_transform', typeof value === 'number' ? [value] : value)
  return layers?.length === 0 ? null : layers
}

function readNameOrList(field: string, value: unknown): readonly string[] | string | null {
  return typeof value === 'string' ? value : readNames(field, value)
}

function readPatterns(
  field: string,
  value: unknown,
  read: (field: string, value: unknown) => number,
): Readonly<Record<string, number>> {
  if (value === undefined || value === null) return {}
  if (!isJsonObject(value)) throw fieldRefusal('invalid_adapter', field, value, 'it must be an object')
  return Object.fromEntries(
    Object.entries(value).map(([pattern, item]) => [pattern, read(`${field}.${pattern}`, item)]),
  )
}
