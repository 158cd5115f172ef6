import type { ConfigFields } from './config-fields.ts'
import type { Family, Sizes } from './decoder.ts'
import { biasedLlamaModules } from './llama.ts'
import { LLAMA_NAMES } from './names.ts'

/** SmolLM 3: Llama with layers that do not rotate, every fourth where nothing else is said. */
export const SMOLLM3: Family = {
  modelType: 'smollm3',
  className: 'SmolLM3ForCausalLM',
  // Published models say 2; the implementation has never read it.
  reads: ['pretraining_tp'],
  defaults: { tiedHead: true },
  names: LLAMA_NAMES,
  modules: biasedLlamaModules,
  rope: { defaultTheta: 2_000_000 },
  traits: (config, sizes) => ({ attention: { ropes: readRotatedLayers(config, sizes) } }),
}

/** `no_rope_layers` has a 1 where a layer does rotate. */
function readRotatedLayers(config: ConfigFields, { layers }: Sizes): (number | null)[] {
  const flags = config.raw('no_rope_layers')
  const interval = config.count('no_rope_layer_interval', 4)
  if (flags === undefined) return Array.from({ length: layers }, (_, i) => ((i + 1) % interval === 0 ? null : 0))
  if (Array.isArray(flags) && flags.length >= layers && flags.every((flag) => flag === 0 || flag === 1)) {
    return flags.slice(0, layers).map((flag) => (flag === 1 ? 0 : null))
  }
  throw config.refuse('no_rope_layers', `${layers} times 0 or 1`)
}
