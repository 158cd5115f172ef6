import type { LinearModule } from '../../core/model-info.ts'
import type { TensorNames } from '../architecture.ts'
import type { ConfigFields } from './config-fields.ts'
import type { Family, Sizes, Traits } from './decoder.ts'
import { ALL_ACTIVATIONS } from './decoder.ts'
import { llamaModules } from './modules.ts'
import { LLAMA_NAMES } from './names.ts'
import { readLocalLayers, readWindow, uniformWindows } from './windows.ts'

/** What Gemma 2 and 3 share beside their traits: norms around both sublayers, a tied head, heads of 256. */
export const GEMMA: Pick<Family, 'defaults' | 'activations' | 'fields'> & { readonly names: TensorNames } = {
  fields: { activation: 'hidden_activation' },
  defaults: { headDim: 256, activation: 'gelu_pytorch_tanh', tiedHead: true },
  activations: ALL_ACTIVATIONS,
  names: {
    ...LLAMA_NAMES,
    attnPostNorm: 'model.layers.{i}.post_attention_layernorm.weight',
    mlpNorm: 'model.layers.{i}.pre_feedforward_layernorm.weight',
    mlpPostNorm: 'model.layers.{i}.post_feedforward_layernorm.weight',
  },
}

export const GEMMA_READS = [
  'query_pre_attn_scalar',
  'attn_logit_softcapping',
  'final_logit_softcapping',
  'layer_types',
] as const

export function gemmaModules(config: ConfigFields, sizes: Sizes): LinearModule[] {
  const biased = config.flag('attention_bias', false)
  return llamaModules(sizes, (kind) => biased && !['gate_proj', 'up_proj', 'down_proj'].includes(kind))
}

/** Norms multiply by 1 + w, the embedding by √hidden; scores are scaled by a size of its own; some layers are local. */
export function gemmaTraits(
  config: ConfigFields,
  sizes: Sizes,
  local: readonly boolean[],
  softcaps: { readonly attention: number | null; readonly final: number | null },
): Traits & { readonly attention: NonNullable<Traits['attention']> } {
  const [window] = uniformWindows(readWindow(config, 4096), sizes)
  return {
    norm: { offset: 1 },
    embedScale: Math.sqrt(sizes.hidden),
    logitSoftcap: readSoftcap(config, 'final_logit_softcapping', softcaps.final),
    attention: {
      scale: config.positive('query_pre_attn_scalar', 256) ** -0.5,
      softcap: readSoftcap(config, 'attn_logit_softcapping', softcaps.attention),
      windows: local.map((isLocal) => (isLocal ? window! : null)),
    },
  }
}

function readSoftcap(config: ConfigFields, field: string, fallback: number | null): number | null {
  if (config.isNull(field)) return null
  return config.has(field) ? config.positive(field) : fallback
}

/** Gemma 2: every second layer is local, scores and logits are soft-capped. */
export const GEMMA2: Family = {
  ...GEMMA,
  modelType: 'gemma2',
  className: 'Gemma2ForCausalLM',
  reads: GEMMA_READS,
  modules: gemmaModules,
  traits: (config, sizes) =>
    gemmaTraits(config, sizes, readLocalLayers(config, 2, sizes), { attention: 50, final: 30 }),
}
