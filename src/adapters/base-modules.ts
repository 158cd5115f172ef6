import type { EdgeKind, LinearKind } from '../core/branch.ts'
import type { LinearModule, ModelInfo, OutputRange } from '../core/model-info.ts'
import { siteDims } from '../core/model-info.ts'

/** A module of the base model that adapters can act on: a linear module of one layer, the embedding or the head. */
export interface BaseModule {
  /** 0 at the edges. */
  readonly layer: number
  readonly inDim: number
  readonly outDim: number
  readonly biased: boolean
  readonly parts: readonly { readonly kind: LinearKind | EdgeKind; readonly outputs: OutputRange }[]
  /** Whether it was named with `info.basePrefix`; null when the prefix is no part of its name. */
  readonly whole: boolean | null
}

/**
 * The module that an adapter file calls by this path; null when this kind of base model has none. The layer may be one the base model does
 * not reach, and the edge one that it does not let adapters act on.
 *
 * @param path `model.layers.3.self_attn.q_proj`, or the same without `info.basePrefix`
 */
export function findModule(info: ModelInfo, path: string): BaseModule | null {
  for (const whole of [true, false]) {
    const named = (canonical: string): string => (whole ? canonical : withoutPrefix(info, canonical))
    for (const module of info.modules) {
      const [before, after] = named(module.path).split('{i}') as [string, string]
      if (!path.startsWith(before) || !path.endsWith(after)) continue
      const layer = path.slice(before.length, path.length - after.length)
      if (/^(0|[1-9]\d*)$/.test(layer)) return linearModule(module, Number(layer), wholeness(info, module.path, whole))
    }
    for (const { path: canonical, kind } of info.otherModules) {
      if (kind !== null && named(canonical) === path) return edgeModule(info, kind, wholeness(info, canonical, whole))
    }
  }
  return null
}

/**
 * Every module path of the base model that PEFT's `target_modules` can match, with the modules that adapters can act on among them.
 *
 * @param whole whether the adapter was saved from the model with its head: the paths then begin with `info.basePrefix`
 */
export function modulePaths(info: ModelInfo, whole: boolean): Map<string, BaseModule | null> {
  const named = (path: string): string => (whole ? path : withoutPrefix(info, path))
  const paths = new Map<string, BaseModule | null>()
  for (let layer = 0; layer < info.layers; layer++) {
    for (const module of info.modules) {
      paths.set(named(module.path.replace('{i}', String(layer))), linearModule(module, layer, whole))
    }
  }
  for (const { path, kind } of info.otherModules) {
    paths.set(named(path), kind !== null && info.edges.includes(kind) ? edgeModule(info, kind, whole) : null)
  }
  return paths
}

function linearModule(
  { inDim, outDim, biased, parts }: LinearModule,
  layer: number,
  whole: boolean | null,
): BaseModule {
  return { layer, inDim, outDim, biased, parts, whole }
}

function edgeModule(info: ModelInfo, kind: EdgeKind, whole: boolean | null): BaseModule {
  const [inDim, outDim] = siteDims(info, kind)
  const outputs = { first: 0, run: outDim, stride: outDim, times: 1 }
  return { layer: 0, inDim, outDim, biased: false, parts: [{ kind, outputs }], whole }
}

function wholeness(info: ModelInfo, path: string, whole: boolean): boolean | null {
  return path.startsWith(info.basePrefix) ? whole : null
}

function withoutPrefix(info: ModelInfo, path: string): string {
  return path.startsWith(info.basePrefix) ? path.slice(info.basePrefix.length) : path
}
