import type { Family } from './decoder.ts'
import { ALL_ACTIVATIONS } from './decoder.ts'
import { interleavedModule, linearModule } from './modules.ts'

/** GPT-NeoX and Pythia: attention and MLP side by side, part of each head rotated, layer norms, a plain MLP. */
export const GPT_NEOX: Family = {
  modelType: 'gpt_neox',
  className: 'GPTNeoXForCausalLM',
  fields: { normEps: 'layer_norm_eps' },
  defaults: { normEps: 1e-5, activation: 'gelu' },
  activations: ALL_ACTIVATIONS,
  names: {
    basePrefix: 'gpt_neox.',
    embed: 'gpt_neox.embed_in.weight',
    finalNorm: 'gpt_neox.final_layer_norm.weight',
    head: 'embed_out.weight',
    // As transformers 5 names it in the model, though not in checkpoints.
    within: [[['embed_out', 'lm_head']]],
    attnNorm: 'gpt_neox.layers.{i}.input_layernorm.weight',
    mlpNorm: 'gpt_neox.layers.{i}.post_attention_layernorm.weight',
    derived: ['bias', 'masked_bias', 'rotary_emb.inv_freq'].map((name) => `gpt_neox.layers.{i}.attention.${name}`),
  },
  modules: (config, sizes) => {
    const attention = { biased: config.flag('attention_bias', true) }
    return [
      interleavedModule('gpt_neox.layers.{i}.attention.query_key_value', sizes, attention),
      linearModule('gpt_neox.layers.{i}.attention.dense', ['o_proj'], sizes, attention),
      linearModule('gpt_neox.layers.{i}.mlp.dense_h_to_4h', ['up_proj'], sizes, { biased: true }),
      linearModule('gpt_neox.layers.{i}.mlp.dense_4h_to_h', ['down_proj'], sizes, { biased: true }),
    ]
  },
  rope: { thetaField: 'rotary_emb_base', partial: { field: 'rotary_pct', fallback: 0.25 } },
  traits: (config) => ({
    norm: { kind: 'layer' },
    mlpKind: 'plain',
    residual: config.flag('use_parallel_residual', true) ? 'parallel' : 'sequential',
  }),
}
