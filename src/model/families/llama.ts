import type { Family } from './decoder.ts'

/** Llama 2 and 3 and everything saved as `LlamaForCausalLM`. */
export const LLAMA: Family = {
  modelType: 'llama',
  className: 'LlamaForCausalLM',
  defaultHeadDim: (hidden, heads) => hidden / heads,
  biases: (config) => [
    ...(config.flag('attention_bias', false) ? (['q_proj', 'k_proj', 'v_proj', 'o_proj'] as const) : []),
    ...(config.flag('mlp_bias', false) ? (['gate_proj', 'up_proj', 'down_proj'] as const) : []),
  ],
  qkNorm: false,
}
