import type { JsonObject } from '../../core/json.ts'
import { isJsonObject } from '../../core/json.ts'
import type { Architecture, Rope } from '../architecture.ts'
import { ConfigFields } from './config-fields.ts'
import type { RopeOptions } from './rope.ts'
import { checkFields } from './rope-scaling.ts'
import { plainFrequencies, readRope } from './rope.ts'

const TYPES: readonly unknown[] = ['longrope', 'su']
const FIELDS = ['short_factor', 'long_factor', 'factor', 'attention_factor', 'original_max_position_embeddings']

/**
 * The rotation of a family that may use LongRoPE (Ding et al. 2024): two sets of frequencies, one for sequences up to the length the model
 * was first trained on, one for longer ones, and a factor √(1 + ln s / ln original length) on both, s the growth of the context.
 */
export function readLongRope(config: ConfigFields, options: RopeOptions): Pick<Architecture, 'ropes' | 'longRope'> {
  const { maxContext } = options
  const name = config.has('rope_parameters') ? 'rope_parameters' : 'rope_scaling'
  const json = config.raw(name)
  if (!isJsonObject(json) || !TYPES.includes(json['rope_type'] ?? json['type'])) {
    return { ropes: [readRope(config, options)], longRope: null }
  }
  const fields = new ConfigFields(json, `config.json: ${name}`)
  checkFields(json, fields, FIELDS)
  const original = config.has('original_max_position_embeddings') ? config : fields
  const length = original.count('original_max_position_embeddings')
  const growth = fields.has('factor') ? fields.positive('factor') : maxContext / length
  const implied = growth <= 1 ? 1 : Math.sqrt(1 + Math.log(growth) / Math.log(length))
  const attentionFactor = fields.positive('attention_factor', implied)
  const plain = plainFrequencies(config, fields, options)
  const rope = (field: string): Rope => {
    const factors = readFactors(json, field, plain.length, fields)
    return { inverseFrequencies: plain.map((frequency, i) => frequency / factors[i]!), attentionFactor }
  }
  const short = rope('short_factor')
  return { ropes: [short], longRope: length < maxContext ? { length, rope: rope('long_factor') } : null }
}

function readFactors(json: JsonObject, field: string, count: number, fields: ConfigFields): number[] {
  const value = json[field]
  const fits = Array.isArray(value) && value.length === count
  if (fits && value.every((item) => typeof item === 'number' && item > 0)) return value as number[]
  throw fields.refuse(field, `a list of ${count} positive numbers`)
}
