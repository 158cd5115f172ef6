import type { LinearModule, ModelInfo } from '../core/model-info.ts'

/** A linear module of one layer of the base model. */
export interface BaseModule {
  readonly module: LinearModule
  readonly layer: number
}

/**
 * The module that an adapter file calls by this path; null when this kind of base model has none. The layer may be one the base model does
 * not reach.
 *
 * @param path `model.layers.3.self_attn.q_proj`, or the same without `info.basePrefix`
 */
export function findModule(info: ModelInfo, path: string): BaseModule | null {
  for (const module of info.modules) {
    for (const pattern of [module.path, withoutPrefix(info, module.path)]) {
      const [before, after] = pattern.split('{i}') as [string, string]
      if (!path.startsWith(before) || !path.endsWith(after)) continue
      const layer = path.slice(before.length, path.length - after.length)
      if (/^(0|[1-9]\d*)$/.test(layer)) return { module, layer: Number(layer) }
    }
  }
  return null
}

/**
 * Every module path of the base model that PEFT's `target_modules` can match, with the linear modules among them.
 *
 * @param whole whether the adapter was saved from the model with its head: the paths then begin with `info.basePrefix`
 */
export function modulePaths(info: ModelInfo, whole: boolean): Map<string, BaseModule | null> {
  const named = (path: string): string => (whole ? path : withoutPrefix(info, path))
  const paths = new Map<string, BaseModule | null>()
  for (let layer = 0; layer < info.layers; layer++) {
    for (const module of info.modules) paths.set(named(module.path.replace('{i}', String(layer))), { module, layer })
  }
  for (const { path } of info.otherModules) paths.set(named(path), null)
  return paths
}

function withoutPrefix(info: ModelInfo, path: string): string {
  return path.startsWith(info.basePrefix) ? path.slice(info.basePrefix.length) : path
}
