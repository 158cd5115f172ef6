import type { Family } from './decoder.ts'

/** Qwen 2 and 2.5: queries, keys and values always have a bias. */
export const QWEN2: Family = {
  modelType: 'qwen2',
  className: 'Qwen2ForCausalLM',
  defaultHeadDim: (hidden, heads) => hidden / heads,
  biases: () => ['q_proj', 'k_proj', 'v_proj'],
  qkNorm: false,
}
