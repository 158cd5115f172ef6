import type { ConfigFields } from './config-fields.ts'
import type { Sizes } from './decoder.ts'

type Window = number | null

/** The same window in every layer; one as long as the context is none. */
export function uniformWindows(window: Window, { layers, maxContext }: Sizes): Window[] {
  return new Array<Window>(layers).fill(window !== null && window < maxContext ? window : null)
}

/** `sliding_window`; a JSON null means none, absence the family's default. */
export function readWindow(config: ConfigFields, fallback: Window): Window {
  if (config.isNull('sliding_window')) return null
  return config.has('sliding_window') ? config.count('sliding_window') : fallback
}

/**
 * Which layers attend locally: `layer_types`, else every `pattern`-th layer is global.
 *
 * @returns per layer, whether it is local
 */
export function readLocalLayers(config: ConfigFields, pattern: number, { layers }: Sizes): boolean[] {
  const types = config.raw('layer_types')
  if (types === undefined) return Array.from({ length: layers }, (_, layer) => (layer + 1) % pattern !== 0)
  const known = ['full_attention', 'sliding_attention']
  if (Array.isArray(types) && types.length === layers && types.every((type) => known.includes(type as string))) {
    return types.map((type) => type === 'sliding_attention')
  }
  throw config.refuse('layer_types', `${layers} times "full_attention" or "sliding_attention"`)
}
