import type { JsonObject } from '../../core/json.ts'
import { isJsonObject } from '../../core/json.ts'
import type { Rope } from '../architecture.ts'
import { ConfigFields } from './config-fields.ts'
import { scaleRope } from './rope-scaling.ts'

const DEFAULT_THETA = 10_000

/** What families call differently, and where they differ without saying so. */
export interface RopeOptions {
  readonly headDim: number
  /** `max_position_embeddings`. */
  readonly maxContext: number
  readonly thetaField?: string
  /** Base of the frequencies where the configuration gives none. */
  readonly defaultTheta?: number
  /** The part of each head that is rotated; absent: all of it, and a configuration that asks for less is refused. */
  readonly partial?: { readonly field: string; readonly fallback: number }
}

/**
 * Rotary position embedding (Su et al. 2021) of a configuration: `rope_theta` and `rope_scaling`, or the single object `rope_parameters`
 * that transformers writes since version 5.
 */
export function readRope(config: ConfigFields, options: RopeOptions): Rope {
  const { thetaField = 'rope_theta' } = options
  if (options.partial === undefined) config.only('partial_rotary_factor', [1])
  const old = config.has(thetaField) || config.has('rope_scaling')
  if (!config.has('rope_parameters')) return ropeOf(config, config.raw('rope_scaling'), 'rope_scaling', options)
  const parameters = config.raw('rope_parameters')
  const rope = ropeOf(new ConfigFields({}), parameters, 'rope_parameters', options)
  if (old) {
    const other = ropeOf(config, config.raw('rope_scaling') ?? parameters, 'rope_scaling', options)
    if (JSON.stringify(other) !== JSON.stringify(rope)) {
      throw config.refuse('rope_parameters', 'the same rotation as rope_theta and rope_scaling give')
    }
  }
  return rope
}

/**
 * The rotation that one object describes.
 *
 * @param config where theta and the rotated part are looked up first
 * @param scaling `rope_scaling` or an object of `rope_parameters`; absent = no scaling
 * @param field how that object is called in messages
 */
export function ropeOf(config: ConfigFields, scaling: unknown, field: string, options: RopeOptions): Rope {
  if (scaling !== undefined && !isJsonObject(scaling)) throw config.refuse(field, 'an object or null')
  const json: JsonObject = scaling ?? {}
  const inner = new ConfigFields(json, `config.json: ${field}`)
  if (options.partial === undefined) inner.only('partial_rotary_factor', [1])
  if (inner.has('type') && inner.has('rope_type')) inner.only('type', [inner.raw('rope_type')])
  const type = inner.raw('rope_type') ?? inner.raw('type') ?? 'default'
  const theta = readTheta(config, inner, options)
  return scaleRope(type, inner, json, plainFrequencies(config, inner, options), theta, options.maxContext)
}

/** Base of the frequencies. */
function readTheta(config: ConfigFields, inner: ConfigFields, options: RopeOptions): number {
  const { thetaField = 'rope_theta', defaultTheta = DEFAULT_THETA } = options
  return config.has(thetaField) ? config.positive(thetaField) : inner.positive('rope_theta', defaultTheta)
}

/** theta^(−2i / d) for the d dimensions that are rotated. */
export function plainFrequencies(config: ConfigFields, inner: ConfigFields, options: RopeOptions): number[] {
  const { headDim, partial } = options
  const theta = readTheta(config, inner, options)
  const part =
    partial === undefined
      ? 1
      : inner.has('partial_rotary_factor')
        ? inner.positive('partial_rotary_factor')
        : config.positive(partial.field, partial.fallback)
  const dims = Math.floor(headDim * part)
  if (part > 1 || dims % 2 !== 0 || dims === 0) {
    throw config.refuse(partial?.field ?? 'head_dim', `a part of the ${headDim} dimensions of a head that is even`)
  }
  return Array.from({ length: dims / 2 }, (_, i) => theta ** ((-2 * i) / dims))
}
