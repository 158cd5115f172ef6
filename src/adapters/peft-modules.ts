import { matchPatterns, translatePattern } from './python-pattern.ts'
import type { PeftConfig } from './peft-config.ts'

/** Rank and scale of a module. */
export interface ModuleScale {
  readonly rank: number
  readonly scale: number
}

/**
 * Rank and scale of each module: `alpha / rank`, or `alpha / √rank` when rank-stabilised, with the first pattern that ends the module's
 * path replacing the default of either.
 *
 * @param paths module paths such as `model.layers.0.mlp.up_proj`
 */
export function moduleScales(config: PeftConfig, paths: readonly string[]): ModuleScale[] {
  const ranks = patternValues('rank_pattern', config.rankPattern, config.rank, paths)
  const alphas = patternValues('alpha_pattern', config.alphaPattern, config.alpha, paths)
  return paths.map((_, i) => {
    const rank = ranks[i]!
    return { rank, scale: alphas[i]! / (config.rankStabilised ? Math.sqrt(rank) : rank) }
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

/** Which of the paths the configuration selects, by PEFT's rules for `target_modules`, `exclude_modules` and `layers_to_transform`. */
export function selectModules(config: PeftConfig, paths: readonly string[]): string[] {
  const excluded = matchNames('exclude_modules', config.excluded, paths)
  const targeted = matchTargets(config, paths)
  return paths.filter((_, i) => targeted[i] && !excluded[i])
}

function matchTargets(config: PeftConfig, paths: readonly string[]): boolean[] {
  const { targets, layers } = config
  if (targets === 'all-linear') return paths.map((path) => /\.\d+\./.test(path))
  const named = matchNames('target_modules', targets, paths)
  if (layers === null || typeof targets === 'string') return named
  const inPattern = matchLayersPattern(config.layersPattern, paths)
  return named.map((match, i) => {
    // A full path in the list is meant as it stands.
    if (!match || targets.includes(paths[i]!)) return match
    const index = /\.(\d+)\./.exec(paths[i]!)?.[1]
    return index !== undefined && inPattern[i]! && layers.includes(Number(index))
  })
}

function matchLayersPattern(patterns: readonly string[], paths: readonly string[]): boolean[] {
  const parts = patterns.filter((pattern) => pattern !== '').map((part) => translatePattern(part, 'layers_pattern'))
  const sources =
    parts.length === 0 ? ['^.*?\\.[^.]*\\.\\d+\\.'] : parts.map((part) => `^(?:.*?\\.)?(?:${part})\\.\\d+\\.`)
  const matches = matchPatterns(sources, paths, 'layers_pattern')
  return paths.map((_, i) => matches.some((matched) => matched[i]))
}

/** A list matches whole paths and their ends after a dot; a string is one pattern for the whole path. */
function matchNames(field: string, names: readonly string[] | string, paths: readonly string[]): boolean[] {
  if (typeof names === 'string') return matchPatterns([`^(?:${translatePattern(names, field)})$`], paths, field)[0]!
  return paths.map((path) => names.some((name) => path === name || path.endsWith(`.${name}`)))
}
