import type { Activation } from '../../core/branch.ts'
import type { LinearModule } from '../../core/model-info.ts'
import type { JsonObject } from '../../core/json.ts'
import { isJsonObject } from '../../core/json.ts'
import type { Architecture, TensorNames } from '../architecture.ts'
import { ConfigFields } from './config-fields.ts'
import type { ModuleSizes } from './modules.ts'
import type { RopeOptions } from './rope.ts'
import { readRope } from './rope.ts'

/** Where a configuration keeps its sizes. */
interface SizeFields {
  readonly hidden: string
  readonly layers: string
  readonly heads: string
  readonly mlp: string
  readonly maxContext: string
  readonly normEps: string
  readonly activation: string
}

const LLAMA_FIELDS: SizeFields = {
  hidden: 'hidden_size',
  layers: 'num_hidden_layers',
  heads: 'num_attention_heads',
  mlp: 'intermediate_size',
  maxContext: 'max_position_embeddings',
  normEps: 'rms_norm_eps',
  activation: 'hidden_act',
}

export interface Sizes extends ModuleSizes {
  readonly layers: number
  readonly maxContext: number
}

/** What may differ between families beside sizes and names; what a family leaves out is as in Llama. */
export type Traits = Partial<
  Pick<
    Architecture,
    | 'residual'
    | 'residualScale'
    | 'mlpKind'
    | 'ropes'
    | 'longRope'
    | 'positionOffset'
    | 'embedScale'
    | 'logitScale'
    | 'logitSoftcap'
  >
> & {
  readonly norm?: Partial<Omit<Architecture['norm'], 'eps'>>
  readonly attention?: Partial<Architecture['attention']>
}

/** One family of pre-norm decoders: where its checkpoints keep things, and what tells it from Llama. */
export interface Family {
  /** `model_type` in `config.json`. */
  readonly modelType: string
  /** Entry of `architectures` in `config.json`. */
  readonly className: string
  /** Fields that have a meaning in this family and must be plain in others (`PLAIN_VALUES`). */
  readonly reads?: readonly string[]
  readonly fields?: Partial<SizeFields>
  /** Values where the configuration gives none. */
  readonly defaults?: {
    readonly headDim?: number
    readonly mlp?: (hidden: number) => number
    readonly normEps?: number
    readonly activation?: string
    readonly tiedHead?: boolean
  }
  /** Non-linearities of the MLP by their names in transformers; silu alone in most families. */
  readonly activations?: Readonly<Record<string, Activation>>
  /** The object of the configuration that describes the text model, and its values where that gives none. */
  readonly textConfig?: { readonly field: string; readonly defaults: JsonObject }
  readonly names: TensorNames
  readonly modules: (config: ConfigFields, sizes: Sizes) => LinearModule[]
  /** How the rotation is configured; null = no rotation at all. */
  readonly rope?: Omit<RopeOptions, 'headDim' | 'maxContext'> | null
  readonly traits?: (config: ConfigFields, sizes: Sizes) => Traits
}

/** Fields that change what a model computes, with the values that mean "plain". */
const PLAIN_VALUES: Readonly<Record<string, readonly unknown[]>> = {
  use_sliding_window: [false],
  pretraining_tp: [1],
  clip_qkv: [],
  logit_scale: [1],
  logits_scaling: [1],
  embedding_multiplier: [1],
  residual_multiplier: [1],
  attention_multiplier: [],
  query_pre_attn_scalar: [],
  attn_logit_softcapping: [],
  final_logit_softcapping: [],
  use_bidirectional_attention: [false],
  is_encoder_decoder: [false],
  add_cross_attention: [false],
  num_experts: [],
  num_local_experts: [],
}

/**
 * Names that activation functions have in transformers; `gelu_new` and `gelu_pytorch_tanh` are the same function.
 * `quick_gelu` and others have no equal here.
 */
export const ALL_ACTIVATIONS: Readonly<Record<string, Activation>> = {
  silu: 'silu',
  swish: 'silu',
  relu: 'relu',
  gelu: 'gelu',
  gelu_new: 'gelu_tanh',
  gelu_fast: 'gelu_tanh',
  gelu_pytorch_tanh: 'gelu_tanh',
}

/**
 * Reads the configuration of a decoder.
 *
 * @throws TroupeError `invalid_model` naming a field that is missing, malformed or asks for something that is not supported
 */
export function readDecoder(family: Family, json: JsonObject): Architecture {
  const config = new ConfigFields(textConfigOf(family, json))
  const { reads = [], defaults = {} } = family
  for (const [field, allowed] of Object.entries(PLAIN_VALUES)) if (!reads.includes(field)) config.only(field, allowed)
  if (!reads.includes('layer_types')) requireFullAttention(config)
  const fields = { ...LLAMA_FIELDS, ...family.fields }
  const sizes = readSizes(family, config, fields)
  const { layers, headDim } = sizes

  const traits = family.traits?.(config, sizes) ?? {}
  const rotated = family.rope !== null
  const ropes =
    traits.ropes ?? (rotated ? [readRope(config, { ...family.rope, headDim, maxContext: sizes.maxContext })] : [])
  const eps = defaults.normEps ?? 1e-6
  return {
    family: family.modelType,
    ...sizes,
    vocab: config.count('vocab_size'),
    residual: 'sequential',
    residualScale: 1,
    mlpKind: 'gated',
    longRope: null,
    positionOffset: null,
    embedScale: 1,
    logitScale: 1,
    logitSoftcap: null,
    ...traits,
    norm: { kind: 'rms', offset: 0, ...traits.norm, eps: config.positive(fields.normEps, eps) },
    activation: readActivation(family, config, fields.activation),
    attention: {
      scale: headDim ** -0.5,
      softcap: null,
      windows: new Array<null>(layers).fill(null),
      ropes: new Array<number | null>(layers).fill(rotated ? 0 : null),
      ...traits.attention,
    },
    ropes,
    tiedHead: config.flag('tie_word_embeddings', defaults.tiedHead ?? false),
    modules: family.modules(config, sizes),
    names: family.names,
  }
}

/** The configuration of the text model. */
function textConfigOf({ textConfig }: Family, json: JsonObject): JsonObject {
  if (textConfig === undefined) return json
  const { field, defaults } = textConfig
  const inner = json[field]
  if (!isJsonObject(inner)) throw new ConfigFields(json).refuse(field, 'an object')
  const tied = json['tie_word_embeddings']
  return { ...defaults, ...(tied === undefined ? {} : { tie_word_embeddings: tied }), ...inner }
}

function readSizes({ defaults = {} }: Family, config: ConfigFields, fields: SizeFields): Sizes {
  const hidden = config.count(fields.hidden)
  const heads = config.count(fields.heads)
  const kvHeads = config.count('num_key_value_heads', heads)
  if (heads % kvHeads !== 0) throw config.refuse('num_key_value_heads', `a divisor of ${fields.heads} (${heads})`)
  const headDim = config.count('head_dim', defaults.headDim ?? hidden / heads)
  if (headDim % 2 !== 0) throw config.refuse('head_dim', 'an even number')
  const mlp = config.count(fields.mlp, defaults.mlp?.(hidden))
  const layers = config.count(fields.layers)
  return { hidden, layers, heads, kvHeads, headDim, mlp, maxContext: config.count(fields.maxContext) }
}

function readActivation(family: Family, config: ConfigFields, field: string): Activation {
  const activations = family.activations ?? { silu: 'silu' }
  const name = config.raw(field) ?? family.defaults?.activation ?? 'silu'
  const activation = typeof name === 'string' && Object.hasOwn(activations, name) ? activations[name] : undefined
  if (activation !== undefined) return activation
  throw config.refuse(
    field,
    Object.keys(activations)
      .map((one) => JSON.stringify(one))
      .join(' or '),
  )
}

/** `sliding_window` alone is inert in most families: only `use_sliding_window` or a layer's type switches it on. */
function requireFullAttention(config: ConfigFields): void {
  const types = config.raw('layer_types')
  if (types === undefined) return
  if (!Array.isArray(types) || types.some((type) => type !== 'full_attention')) {
    throw config.refuse('layer_types', '"full_attention" in every layer')
  }
}
