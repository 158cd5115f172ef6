import type { JsonObject } from '../../core/json.ts'
import { readLayers, readNames } from '../config-fields.ts'
import { matchPatterns, translatePattern } from '../python-pattern.ts'

/** Which modules a configuration selects. */
export interface Targets {
  /** A list of module names or one Python pattern; null = those that PEFT chooses for the family. */
  readonly modules: readonly string[] | string | null
  /** The same as the configuration has it. */
  readonly given: unknown
  readonly excluded: readonly string[] | string
  readonly layers: readonly number[] | null
  readonly layersPattern: readonly string[]
}

const ALL_LINEAR = 'all-linear'

/** The fields that `readTargets` reads. */
export const TARGET_FIELDS = ['target_modules', 'exclude_modules', 'layers_to_transform', 'layers_pattern']

/** Reads the selection of modules. @throws TroupeError `invalid_adapter` naming the field */
export function readTargets(config: JsonObject): Targets {
  return {
    modules: readModules(config['target_modules']),
    given: config['target_modules'],
    excluded: readNameOrList('exclude_modules', config['exclude_modules']) ?? [],
    layers: layersOf(config['layers_to_transform']),
    layersPattern: [readNameOrList('layers_pattern', config['layers_pattern']) ?? []].flat(),
  }
}

/**
 * The field that names the modules. As a pattern, `all`, a bare name and names with commas would match nothing at all; what trainers mean by them
 * is clear.
 */
function readModules(value: unknown): readonly string[] | string | null {
  const modules = readNameOrList('target_modules', value)
  if (typeof modules !== 'string') return modules?.length === 0 ? null : modules
  const text = modules.trim()
  if (/^all(-linear)?$/i.test(text)) return ALL_LINEAR
  const names = text
    .replace(/,$/, '')
    .split(',')
    .map((name) => name.trim())
  return names.every((name) => /^[A-Za-z_]\w*$/.test(name)) ? names : text
}

/** A text or a list of texts; absent for null. */
export function readNameOrList(field: string, value: unknown): readonly string[] | string | null {
  return typeof value === 'string' ? value : readNames(field, value)
}

function layersOf(value: unknown): readonly number[] | null {
  const layers = readLayers('layers_to_transform', typeof value === 'number' ? [value] : value)
  return layers?.length === 0 ? null : layers
}

/**
 * Which of the paths the configuration selects, by PEFT's rules for `target_modules`, `exclude_modules` and `layers_to_transform`.
 *
 * @param fallback names to select when the configuration has none
 */
export function selectModules(targets: Targets, paths: readonly string[], fallback: readonly string[]): string[] {
  const excluded = matchNames('exclude_modules', targets.excluded, paths)
  const targeted = matchTargets(targets, paths, fallback)
  return paths.filter((_, i) => targeted[i] && !excluded[i])
}

function matchTargets(targets: Targets, paths: readonly string[], fallback: readonly string[]): boolean[] {
  const { layers, layersPattern } = targets
  const modules = targets.modules ?? fallback
  if (modules === ALL_LINEAR) return paths.map((path) => /\.\d+\./.test(path))
  const named = matchNames('target_modules', modules, paths)
  if (layers === null || typeof modules === 'string') return named
  const inPattern = matchLayersPattern(layersPattern, paths)
  return named.map((match, i) => {
    // A full path in the list is meant as it stands.
    if (!match || modules.includes(paths[i]!)) return match
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
