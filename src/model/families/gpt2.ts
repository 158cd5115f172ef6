import type { Family } from './decoder.ts'
import { ALL_ACTIVATIONS } from './decoder.ts'
import { linearModule } from './modules.ts'

const BOTH = { biased: true, transposed: true }

/** GPT-2: learned positions, layer norms, a plain MLP, weights saved as `[in, out]`. */
export const GPT2: Family = {
  modelType: 'gpt2',
  className: 'GPT2LMHeadModel',
  fields: {
    hidden: 'n_embd',
    layers: 'n_layer',
    heads: 'n_head',
    mlp: 'n_inner',
    maxContext: 'n_positions',
    normEps: 'layer_norm_epsilon',
    activation: 'activation_function',
  },
  defaults: { mlp: (hidden) => 4 * hidden, normEps: 1e-5, activation: 'gelu_new', tiedHead: true },
  activations: ALL_ACTIVATIONS,
  names: {
    basePrefix: 'transformer.',
    embed: 'transformer.wte.weight',
    positions: 'transformer.wpe.weight',
    finalNorm: 'transformer.ln_f.weight',
    head: 'lm_head.weight',
    attnNorm: 'transformer.h.{i}.ln_1.weight',
    mlpNorm: 'transformer.h.{i}.ln_2.weight',
    derived: ['transformer.h.{i}.attn.bias', 'transformer.h.{i}.attn.masked_bias'],
  },
  modules: (_, sizes) => [
    linearModule('transformer.h.{i}.attn.c_attn', ['q_proj', 'k_proj', 'v_proj'], sizes, BOTH),
    linearModule('transformer.h.{i}.attn.c_proj', ['o_proj'], sizes, BOTH),
    linearModule('transformer.h.{i}.mlp.c_fc', ['up_proj'], sizes, BOTH),
    linearModule('transformer.h.{i}.mlp.c_proj', ['down_proj'], sizes, BOTH),
  ],
  rope: null,
  traits: (config, { headDim }) => {
    config.only('scale_attn_by_inverse_layer_idx', [false])
    return {
      norm: { kind: 'layer' },
      mlpKind: 'plain',
      positionOffset: 0,
      attention: { scale: config.flag('scale_attn_weights', true) ? headDim ** -0.5 : 1 },
    }
  },
}
