import type { TensorNames } from '../architecture.ts'

/** Names of Llama-like checkpoints. */
export const LLAMA_NAMES: TensorNames = {
  basePrefix: 'model.',
  embed: 'model.embed_tokens.weight',
  finalNorm: 'model.norm.weight',
  head: 'lm_head.weight',
  attnNorm: 'model.layers.{i}.input_layernorm.weight',
  mlpNorm: 'model.layers.{i}.post_attention_layernorm.weight',
  derived: ['model.layers.{i}.self_attn.rotary_emb.inv_freq'],
}

/** Norms of every query and key head, where there are any. */
export const QK_NORM_NAMES = {
  qNorm: 'model.layers.{i}.self_attn.q_norm.weight',
  kNorm: 'model.layers.{i}.self_attn.k_norm.weight',
}
