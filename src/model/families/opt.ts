import type { Family } from './decoder.ts'
import { ALL_ACTIVATIONS } from './decoder.ts'
import { linearModule } from './modules.ts'

const LAYER = 'model.decoder.layers.{i}'

/** OPT (all sizes but 350m, which normalises after its sublayers): learned positions whose table has two rows too many in front. */
export const OPT: Family = {
  modelType: 'opt',
  className: 'OPTForCausalLM',
  fields: { mlp: 'ffn_dim', activation: 'activation_function', normEps: 'layer_norm_eps' },
  defaults: { normEps: 1e-5, activation: 'relu', tiedHead: true },
  activations: ALL_ACTIVATIONS,
  names: {
    basePrefix: 'model.',
    embed: 'model.decoder.embed_tokens.weight',
    positions: 'model.decoder.embed_positions.weight',
    finalNorm: 'model.decoder.final_layer_norm.weight',
    head: 'lm_head.weight',
    attnNorm: `${LAYER}.self_attn_layer_norm.weight`,
    mlpNorm: `${LAYER}.final_layer_norm.weight`,
  },
  modules: (config, sizes) => {
    const options = { biased: config.flag('enable_bias', true) }
    return [
      linearModule(`${LAYER}.self_attn.q_proj`, ['q_proj'], sizes, options),
      linearModule(`${LAYER}.self_attn.k_proj`, ['k_proj'], sizes, options),
      linearModule(`${LAYER}.self_attn.v_proj`, ['v_proj'], sizes, options),
      linearModule(`${LAYER}.self_attn.out_proj`, ['o_proj'], sizes, options),
      linearModule(`${LAYER}.fc1`, ['up_proj'], sizes, options),
      linearModule(`${LAYER}.fc2`, ['down_proj'], sizes, options),
    ]
  },
  rope: null,
  traits: (config, { hidden }) => {
    config.only('do_layer_norm_before', [true])
    config.only('_remove_final_layer_norm', [false])
    config.only('layer_norm_elementwise_affine', [true])
    config.only('word_embed_proj_dim', [hidden])
    return { norm: { kind: 'layer' }, mlpKind: 'plain', positionOffset: 2 }
  },
}
