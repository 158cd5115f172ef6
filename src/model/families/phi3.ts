import type { Family } from './decoder.ts'
import { readLongRope } from './long-rope.ts'
import { linearModule } from './modules.ts'
import { LLAMA_NAMES } from './names.ts'
import { readWindow, uniformWindows } from './windows.ts'

/** Phi 3 and 4: queries, keys and values in one module, gate and up in another; LongRoPE. */
export const PHI3: Family = {
  modelType: 'phi3',
  className: 'Phi3ForCausalLM',
  defaults: { normEps: 1e-5 },
  names: LLAMA_NAMES,
  modules: (_, sizes) => [
    linearModule('model.layers.{i}.self_attn.qkv_proj', ['q_proj', 'k_proj', 'v_proj'], sizes),
    linearModule('model.layers.{i}.self_attn.o_proj', ['o_proj'], sizes),
    linearModule('model.layers.{i}.mlp.gate_up_proj', ['gate_proj', 'up_proj'], sizes),
    linearModule('model.layers.{i}.mlp.down_proj', ['down_proj'], sizes),
  ],
  traits: (config, sizes) => ({
    ...readLongRope(config, { ...sizes, partial: { field: 'partial_rotary_factor', fallback: 1 } }),
    attention: { windows: uniformWindows(readWindow(config, null), sizes) },
  }),
}
