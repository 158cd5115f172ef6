import type { Family } from './decoder.ts'

/** Qwen 3 (dense): heads of their own size, each query and key head normalised before the rotation. */
export const QWEN3: Family = {
  modelType: 'qwen3',
  className: 'Qwen3ForCausalLM',
  defaultHeadDim: () => 128,
  biases: (config) => (config.flag('attention_bias', false) ? ['q_proj', 'k_proj', 'v_proj', 'o_proj'] : []),
  qkNorm: true,
}
