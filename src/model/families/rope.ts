import { TroupeError } from '../../core/errors.ts'
import type { JsonObject } from '../../core/json.ts'
import { isJsonObject } from '../../core/json.ts'
import type { Architecture } from '../architecture.ts'
import { ConfigFields } from './config-fields.ts'

const DEFAULT_THETA = 10_000

/**
 * Rotary position embedding (Su et al. 2021) of a configuration: `rope_theta` and `rope_scaling`, or the single object `rope_parameters`
 * that transformers writes since version 5.
 *
 * @param headDim dimensions of one head; all of them are rotated
 */
export function readRope(config: ConfigFields, headDim: number): Architecture['rope'] {
  config.only('partial_rotary_factor', [1])
  const old = config.has('rope_theta') || config.has('rope_scaling')
  if (!config.has('rope_parameters')) return fromFields(config, config.raw('rope_scaling'), 'rope_scaling', headDim)
  const rope = fromFields(new ConfigFields({}), config.raw('rope_parameters'), 'rope_parameters', headDim)
  if (old) {
    const other = fromFields(
      config,
      config.raw('rope_scaling') ?? config.raw('rope_parameters'),
      'rope_scaling',
      headDim,
    )
    if (other.inverseFrequencies.some((value, i) => value !== rope.inverseFrequencies[i])) {
      throw config.refuse('rope_parameters', 'the same rotation as rope_theta and rope_scaling give')
    }
  }
  return rope
}

function fromFields(config: ConfigFields, scaling: unknown, field: string, headDim: number): Architecture['rope'] {
  if (scaling !== undefined && !isJsonObject(scaling)) throw config.refuse(field, 'an object or null')
  const json: JsonObject = scaling ?? {}
  const inner = new ConfigFields(json, `config.json: ${field}`)
  inner.only('partial_rotary_factor', [1])
  if (inner.has('type') && inner.has('rope_type')) inner.only('type', [inner.raw('rope_type')])
  const type = inner.raw('rope_type') ?? inner.raw('type') ?? 'default'
  const theta = config.has('rope_theta') ? config.positive('rope_theta') : inner.positive('rope_theta', DEFAULT_THETA)
  const plain = Array.from({ length: headDim / 2 }, (_, i) => theta ** ((-2 * i) / headDim))
  return { inverseFrequencies: scale(type, inner, json, plain), attentionFactor: 1 }
}

const COMMON_FIELDS = ['rope_type', 'type', 'rope_theta', 'partial_rotary_factor']

function scale(type: unknown, fields: ConfigFields, json: JsonObject, plain: number[]): number[] {
  switch (type) {
    case 'default':
      checkFields(json, fields, [])
      return plain
    case 'linear': {
      checkFields(json, fields, ['factor'])
      const factor = fields.positive('factor')
      return plain.map((frequency) => frequency / factor)
    }
    case 'llama3':
      checkFields(json, fields, ['factor', 'low_freq_factor', 'high_freq_factor', 'original_max_position_embeddings'])
      return llama3(fields, plain)
    default:
      throw fields.refuse(fields.has('rope_type') ? 'rope_type' : 'type', '"default", "linear" or "llama3"')
  }
}

/** Long waves are slowed by `factor`, short ones kept, those between blended linearly in the number of turns (Llama 3.1). */
function llama3(fields: ConfigFields, plain: number[]): number[] {
  const factor = fields.positive('factor')
  const low = fields.positive('low_freq_factor')
  const high = fields.positive('high_freq_factor')
  const original = fields.count('original_max_position_embeddings')
  if (high <= low) throw fields.refuse('high_freq_factor', 'more than low_freq_factor')
  return plain.map((frequency) => {
    const turns = (original * frequency) / (2 * Math.PI)
    const kept = Math.min(1, Math.max(0, (turns - low) / (high - low)))
    return kept * frequency + (1 - kept) * (frequency / factor)
  })
}

function checkFields(json: JsonObject, fields: ConfigFields, known: readonly string[]): void {
  for (const field of Object.keys(json)) {
    if (!fields.has(field) || COMMON_FIELDS.includes(field) || known.includes(field)) continue
    // Written by transformers next to every rope type; only the original length of llama3 matters.
    if (field === 'original_max_position_embeddings') continue
    throw new TroupeError('invalid_model', `config.json: unknown field "${field}" of the rotary embedding`, {
      param: field,
    })
  }
}
