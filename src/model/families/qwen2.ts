import type { Family } from './decoder.ts'
import { llamaModules } from './modules.ts'
import { LLAMA_NAMES } from './names.ts'

/** Qwen 2 and 2.5: queries, keys and values always have a bias. */
export const QWEN2: Family = {
  modelType: 'qwen2',
  className: 'Qwen2ForCausalLM',
  names: LLAMA_NAMES,
  modules: (_, sizes) => llamaModules(sizes, (kind) => ['q_proj', 'k_proj', 'v_proj'].includes(kind)),
}
