import type { LinearKind } from '../../core/branch.ts'
import type { LinearModule } from '../../core/model-info.ts'
import type { ConfigFields } from './config-fields.ts'
import type { Family, Sizes } from './decoder.ts'
import { llamaModules } from './modules.ts'
import { LLAMA_NAMES } from './names.ts'

const ATTENTION: readonly LinearKind[] = ['q_proj', 'k_proj', 'v_proj', 'o_proj']

/** Llama's modules with biases where `attention_bias` and `mlp_bias` say so. */
export function biasedLlamaModules(config: ConfigFields, sizes: Sizes): LinearModule[] {
  const attention = config.flag('attention_bias', false)
  const mlp = config.flag('mlp_bias', false)
  return llamaModules(sizes, (kind) => (ATTENTION.includes(kind) ? attention : mlp))
}

/** Llama 2 and 3 and everything saved as `LlamaForCausalLM`. */
export const LLAMA: Family = {
  modelType: 'llama',
  className: 'LlamaForCausalLM',
  names: LLAMA_NAMES,
  modules: biasedLlamaModules,
}
