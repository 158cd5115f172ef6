import type { JsonObject } from '../../core/json.ts'
import { isJsonObject } from '../../core/json.ts'
import { fieldRefusal, readFlag, readNumber, readRank } from '../config-fields.ts'
import { matchPatterns, translatePattern } from '../python-pattern.ts'

/** Ranks and scales of a configuration. */
export interface Scales {
  readonly rank: number
  readonly alpha: number
  /** scale = alpha / √rank instead of alpha / rank (Kalajdzievski 2023). */
  readonly rankStabilised: boolean
  /** Python patterns over module paths; the first that matches wins. */
  readonly rankPattern: Readonly<Record<string, number>>
  readonly alphaPattern: Readonly<Record<string, number>>
}

/** Rank and scale of one module. */
export interface ModuleScale {
  readonly rank: number
  readonly scale: number
}

/** The fields that `readScales` reads, beside the one for alpha. */
export const SCALE_FIELDS = ['r', 'use_rslora', 'rank_pattern', 'alpha_pattern']

/** Reads ranks and scales. @throws TroupeError `invalid_adapter` naming the field */
export function readScales(config: JsonObject, alphaField: 'lora_alpha' | 'alpha'): Scales {
  return {
    rank: readRank('r', config['r']),
    alpha: readNumber(alphaField, config[alphaField]),
    rankStabilised: readFlag('use_rslora', config['use_rslora']),
    rankPattern: readPatterns('rank_pattern', config['rank_pattern'], readRank),
    alphaPattern: readPatterns('alpha_pattern', config['alpha_pattern'], readNumber),
  }
}

/**
 * Rank and scale of each module: `alpha / rank`, or `alpha / √rank` when rank-stabilised, with the first pattern that ends the module's
 * path replacing the default of either.
 *
 * @param paths module paths such as `model.layers.0.mlp.up_proj`
 */
export function moduleScales(scales: Scales, paths: readonly string[]): ModuleScale[] {
  const ranks = patternValues('rank_pattern', scales.rankPattern, scales.rank, paths)
  const alphas = patternValues('alpha_pattern', scales.alphaPattern, scales.alpha, paths)
  return paths.map((_, i) => {
    const rank = ranks[i]!
    return { rank, scale: alphas[i]! / (scales.rankStabilised ? Math.sqrt(rank) : rank) }
  })
}

function patternValues(
  field: string,
  patterns: Readonly<Record<string, number>>,
  fallback: number,
  paths: readonly string[],
): number[] {
  const sources = Object.keys(patterns).map((pattern) => `^(?:.*\\.)?(?:${translatePattern(pattern, field)})$`)
  const matches = matchPatterns(sources, paths, field)
  const values = Object.values(patterns)
  return paths.map((_, i) => {
    const first = matches.findIndex((matched) => matched[i])
    return first < 0 ? fallback : values[first]!
  })
}

function readPatterns(
  field: string,
  value: unknown,
  read: (field: string, value: unknown) => number,
): Readonly<Record<string, number>> {
  if (value === undefined || value === null) return {}
  if (!isJsonObject(value)) throw fieldRefusal('invalid_adapter', field, value, 'it must be an object')
  return Object.fromEntries(
    Object.entries(value).map(([pattern, item]) => [pattern, read(`${field}.${pattern}`, item)]),
  )
}
