import type { LinearKind } from '../../core/branch.ts'
import type { JsonObject } from '../../core/json.ts'
import type { Architecture, TensorNames } from '../architecture.ts'
import { ConfigFields } from './config-fields.ts'
import { readRope } from './rope.ts'

/** What tells one family of pre-norm decoders from another. Everything else is read from the configuration. */
export interface Family {
  /** `model_type` in `config.json`. */
  readonly modelType: string
  /** Entry of `architectures` in `config.json`. */
  readonly className: string
  /** Size of a head when the configuration gives none. */
  readonly defaultHeadDim: (hidden: number, heads: number) => number
  /** Linear layers with a bias. */
  readonly biases: (config: ConfigFields) => LinearKind[]
  readonly qkNorm: boolean
}

/** Fields that change what a model computes, with the values that mean "plain". */
const PLAIN_VALUES: Readonly<Record<string, readonly unknown[]>> = {
  hidden_act: ['silu'],
  use_sliding_window: [false],
  quantization_config: [],
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
  is_encoder_decoder: [false],
  add_cross_attention: [false],
  num_experts: [],
  num_local_experts: [],
}

const LAYER_NAMES: Omit<TensorNames, 'qNorm' | 'kNorm'> = {
  embed: 'model.embed_tokens.weight',
  finalNorm: 'model.norm.weight',
  head: 'lm_head.weight',
  attnNorm: 'model.layers.{i}.input_layernorm.weight',
  mlpNorm: 'model.layers.{i}.post_attention_layernorm.weight',
  linear: {
    q_proj: 'model.layers.{i}.self_attn.q_proj',
    k_proj: 'model.layers.{i}.self_attn.k_proj',
    v_proj: 'model.layers.{i}.self_attn.v_proj',
    o_proj: 'model.layers.{i}.self_attn.o_proj',
    gate_proj: 'model.layers.{i}.mlp.gate_proj',
    up_proj: 'model.layers.{i}.mlp.up_proj',
    down_proj: 'model.layers.{i}.mlp.down_proj',
  },
}

const QK_NORM_NAMES = {
  qNorm: 'model.layers.{i}.self_attn.q_norm.weight',
  kNorm: 'model.layers.{i}.self_attn.k_norm.weight',
}

/**
 * Reads the configuration of a Llama-like decoder.
 *
 * @throws TroupeError `invalid_model` naming a field that is missing, malformed or asks for something that is not supported
 */
export function readDecoder(family: Family, json: JsonObject): Architecture {
  const config = new ConfigFields(json)
  for (const [field, allowed] of Object.entries(PLAIN_VALUES)) config.only(field, allowed)
  checkAttentionWindow(config)

  const hidden = config.count('hidden_size')
  const heads = config.count('num_attention_heads')
  const kvHeads = config.count('num_key_value_heads', heads)
  if (heads % kvHeads !== 0) throw config.refuse('num_key_value_heads', `a divisor of num_attention_heads (${heads})`)
  const headDim = config.count('head_dim', family.defaultHeadDim(hidden, heads))
  if (headDim % 2 !== 0) throw config.refuse('head_dim', 'an even number')
  return {
    family: family.modelType,
    hidden,
    layers: config.count('num_hidden_layers'),
    heads,
    kvHeads,
    headDim,
    mlp: config.count('intermediate_size'),
    vocab: config.count('vocab_size'),
    maxContext: config.count('max_position_embeddings'),
    normEps: config.positive('rms_norm_eps', 1e-6),
    tiedHead: config.flag('tie_word_embeddings', false),
    biases: family.biases(config),
    qkNorm: family.qkNorm,
    rope: readRope(config, headDim),
    names: family.qkNorm ? { ...LAYER_NAMES, ...QK_NORM_NAMES } : LAYER_NAMES,
  }
}

/** `sliding_window` alone is inert in these families: only `use_sliding_window` or a layer's type switches it on. */
function checkAttentionWindow(config: ConfigFields): void {
  const types = config.raw('layer_types')
  if (types === undefined) return
  if (!Array.isArray(types) || types.some((type) => type !== 'full_attention')) {
    throw config.refuse('layer_types', '"full_attention" in every layer')
  }
}
