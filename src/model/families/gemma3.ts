import { isJsonObject } from '../../core/json.ts'
import type { Rope } from '../architecture.ts'
import { ConfigFields } from './config-fields.ts'
import type { Family, Sizes } from './decoder.ts'
import { GEMMA, GEMMA_READS, gemmaModules, gemmaTraits } from './gemma2.ts'
import { QK_NORM_NAMES } from './names.ts'
import { ropeOf } from './rope.ts'
import { readLocalLayers } from './windows.ts'

const GLOBAL = { defaultTheta: 1_000_000 }
const LOCAL = { defaultTheta: 10_000 }

/** Names of the text model within the model with a vision tower: as transformers 4.52 and later have them, and as it was published. */
const WITHIN: readonly (readonly (readonly [string, string])[])[] = [
  [['model.', 'model.language_model.']],
  [
    ['model.', 'language_model.model.'],
    ['lm_head', 'language_model.lm_head'],
  ],
]

/** Gemma 3 (text): five local layers to a global one, each kind with a rotation of its own; normalised queries and keys. */
export const GEMMA3: Family = {
  ...GEMMA,
  modelType: 'gemma3_text',
  className: 'Gemma3ForCausalLM',
  reads: GEMMA_READS,
  names: {
    ...GEMMA.names,
    ...QK_NORM_NAMES,
    within: WITHIN,
    otherParts: ['vision_tower.', 'multi_modal_projector.', 'model.vision_tower.', 'model.multi_modal_projector.'],
  },
  modules: gemmaModules,
  traits: (config, sizes) => {
    const local = readLocalLayers(config, config.count('sliding_window_pattern', 6), sizes)
    const traits = gemmaTraits(config, sizes, local, { attention: null, final: null })
    return {
      ...traits,
      ropes: readRopes(config, sizes),
      attention: { ...traits.attention, ropes: local.map((isLocal) => (isLocal ? 1 : 0)) },
    }
  },
}

/** Gemma 3 with its vision tower, served as the text model in it. Values that published configurations leave out are those of the library. */
export const GEMMA3_MULTIMODAL: Family = {
  ...GEMMA3,
  modelType: 'gemma3',
  className: 'Gemma3ForConditionalGeneration',
  textConfig: {
    field: 'text_config',
    defaults: {
      vocab_size: 262_208,
      hidden_size: 2304,
      intermediate_size: 9216,
      num_hidden_layers: 26,
      num_attention_heads: 8,
      num_key_value_heads: 4,
      head_dim: 256,
      max_position_embeddings: 131_072,
    },
  },
  names: {
    ...GEMMA3.names,
    renamed: WITHIN.flat().map(([own, there]) => [there, own]),
  },
}

/** The global and the local rotation: an object of `rope_parameters` each, or the older fields. `rope_scaling` is for the global one. */
function readRopes(config: ConfigFields, { headDim, maxContext }: Sizes): [Rope, Rope] {
  const global = { ...GLOBAL, headDim, maxContext }
  const local = { ...LOCAL, headDim, maxContext }
  const parameters = config.raw('rope_parameters')
  if (parameters === undefined) {
    return [
      ropeOf(config, config.raw('rope_scaling'), 'rope_scaling', global),
      ropeOf(config, undefined, 'rope_local_base_freq', { ...local, thetaField: 'rope_local_base_freq' }),
    ]
  }
  if (!isJsonObject(parameters)) throw config.refuse('rope_parameters', 'an object')
  for (const field of ['rope_scaling', 'rope_theta', 'rope_local_base_freq']) config.only(field, [])
  const inner = new ConfigFields(parameters, 'config.json: rope_parameters')
  const none = new ConfigFields({})
  return [
    ropeOf(none, inner.raw('full_attention'), 'rope_parameters', global),
    ropeOf(none, inner.raw('sliding_attention'), 'rope_parameters', local),
  ]
}
