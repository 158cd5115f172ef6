import type { Family } from './decoder.ts'
import { biasedLlamaModules } from './llama.ts'
import { LLAMA_NAMES } from './names.ts'

/** Granite 3: Llama with a factor on the embedding, the scores, every sublayer and the logits. */
export const GRANITE: Family = {
  modelType: 'granite',
  className: 'GraniteForCausalLM',
  reads: ['embedding_multiplier', 'attention_multiplier', 'residual_multiplier', 'logits_scaling'],
  names: LLAMA_NAMES,
  modules: biasedLlamaModules,
  traits: (config) => ({
    embedScale: config.positive('embedding_multiplier', 1),
    residualScale: config.positive('residual_multiplier', 1),
    logitScale: 1 / config.positive('logits_scaling', 1),
    attention: { scale: config.positive('attention_multiplier', 1) },
  }),
}
