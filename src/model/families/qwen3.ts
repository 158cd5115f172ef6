import type { Family } from './decoder.ts'
import { biasedLlamaModules } from './llama.ts'
import { LLAMA_NAMES, QK_NORM_NAMES } from './names.ts'

/** Qwen 3 (dense): heads of their own size, each query and key head normalised before the rotation. */
export const QWEN3: Family = {
  modelType: 'qwen3',
  className: 'Qwen3ForCausalLM',
  defaults: { headDim: 128 },
  names: { ...LLAMA_NAMES, ...QK_NORM_NAMES },
  modules: biasedLlamaModules,
}
