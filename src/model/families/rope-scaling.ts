import { TroupeError } from '../../core/errors.ts'
import type { JsonObject } from '../../core/json.ts'
import type { Rope } from '../architecture.ts'
import type { ConfigFields } from './config-fields.ts'

const COMMON_FIELDS = ['rope_type', 'type', 'rope_theta', 'partial_rotary_factor']
const ORIGINAL = 'original_max_position_embeddings'
const YARN_FIELDS = ['factor', 'attention_factor', 'beta_fast', 'beta_slow', 'mscale', 'mscale_all_dim', 'truncate']

/**
 * A rotation with the scaling of its type, as `ROPE_INIT_FUNCTIONS` in transformers computes it.
 *
 * @param plain the frequencies without scaling
 * @param theta their base
 */
export function scaleRope(
  type: unknown,
  fields: ConfigFields,
  json: JsonObject,
  plain: readonly number[],
  theta: number,
  maxContext: number,
): Rope {
  switch (type) {
    case 'default':
      checkFields(json, fields, [])
      return { inverseFrequencies: plain, attentionFactor: 1 }
    case 'linear': {
      checkFields(json, fields, ['factor'])
      const factor = fields.positive('factor')
      return { inverseFrequencies: plain.map((frequency) => frequency / factor), attentionFactor: 1 }
    }
    case 'dynamic':
      // Dynamic NTK changes the base for sequences longer than the context only, and there are none.
      checkFields(json, fields, ['factor'])
      fields.positive('factor')
      fields.only(ORIGINAL, [maxContext])
      return { inverseFrequencies: plain, attentionFactor: 1 }
    case 'llama3':
      checkFields(json, fields, ['factor', 'low_freq_factor', 'high_freq_factor'])
      return { inverseFrequencies: llama3(fields, plain), attentionFactor: 1 }
    case 'yarn':
      checkFields(json, fields, YARN_FIELDS)
      return yarn(fields, plain, theta, fields.count(ORIGINAL, maxContext))
    default:
      throw fields.refuse(
        fields.has('rope_type') ? 'rope_type' : 'type',
        '"default", "linear", "dynamic", "llama3" or "yarn"',
      )
  }
}

/** Long waves are slowed by `factor`, short ones kept, those between blended linearly in the number of turns (Llama 3.1). */
function llama3(fields: ConfigFields, plain: readonly number[]): number[] {
  const factor = fields.positive('factor')
  const low = fields.positive('low_freq_factor')
  const high = fields.positive('high_freq_factor')
  const original = fields.count(ORIGINAL)
  if (high <= low) throw fields.refuse('high_freq_factor', 'more than low_freq_factor')
  return plain.map((frequency) => {
    const turns = (original * frequency) / (2 * Math.PI)
    const kept = Math.min(1, Math.max(0, (turns - low) / (high - low)))
    return kept * frequency + (1 - kept) * (frequency / factor)
  })
}

/**
 * YaRN (Peng et al. 2023): waves that turn often over the original length are kept, those that turn seldom are slowed by `factor`, those
 * between blended linearly in their index; cos and sin grow by 0.1 · ln factor + 1.
 */
function yarn(fields: ConfigFields, plain: readonly number[], theta: number, original: number): Rope {
  const factor = fields.positive('factor')
  const dims = 2 * plain.length
  const indexOf = (turns: number): number => (dims * Math.log(original / (turns * 2 * Math.PI))) / (2 * Math.log(theta))
  const whole = fields.flag('truncate', true)
  const first = indexOf(fields.positive('beta_fast', 32))
  const last = indexOf(fields.positive('beta_slow', 1))
  const low = Math.max(0, whole ? Math.floor(first) : first)
  const high = Math.min(dims - 1, whole ? Math.ceil(last) : last)
  const width = high === low ? 0.001 : high - low
  const inverseFrequencies = plain.map((frequency, i) => {
    const slowed = Math.min(1, Math.max(0, (i - low) / width))
    return (slowed * frequency) / factor + (1 - slowed) * frequency
  })
  return { inverseFrequencies, attentionFactor: fields.positive('attention_factor', yarnAttention(fields, factor)) }
}

/** What multiplies cos and sin where the configuration does not say it. */
function yarnAttention(fields: ConfigFields, factor: number): number {
  const growth = (weight: number): number => (factor <= 1 ? 1 : 0.1 * weight * Math.log(factor) + 1)
  if (!fields.has('mscale') || !fields.has('mscale_all_dim')) return growth(1)
  return growth(fields.positive('mscale')) / growth(fields.positive('mscale_all_dim'))
}

/** Refuses fields of a rotary embedding that nobody reads. */
export function checkFields(json: JsonObject, fields: ConfigFields, known: readonly string[]): void {
  for (const field of Object.keys(json)) {
    if (!fields.has(field) || COMMON_FIELDS.includes(field) || known.includes(field)) continue
    // Written by transformers next to every rope type; only the original length of llama3 matters.
    if (field === 'original_max_position_embeddings') continue
    throw new TroupeError('invalid_model', `config.json: unknown field "${field}" of the rotary embedding`, {
      param: field,
    })
  }
}
