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
  /** Which of the namings (`namingsOf`) give it the name that it was found by. */
  readonly namings: readonly number[]
}

/** Beginnings of the base model's own paths, and what stands for them in a model's names. */
type Naming = readonly (readonly [own: string, there: string])[]

/** How adapter files may name the modules: as they are, as in the model without its head, or as in larger models that it is a part of. */
export function namingsOf({ basePrefix, within = [] }: ModelInfo): readonly Naming[] {
  return [[], [[basePrefix, '']], ...within]
}

/**
 * The module that an adapter file calls by this path; null when this kind of base model has none. The layer may be one the base model does
 * not reach, and the edge one that it does not let adapters act on.
 *
 * @param path `model.layers.3.self_attn.q_proj`, or the same in another naming
 */
export function findModule(info: ModelInfo, path: string): BaseModule | null {
  const found = namingsOf(info).flatMap((naming, i) => moduleNamed(info, path, naming, i) ?? [])
  return found[0] === undefined ? null : { ...found[0], namings: found.flatMap(({ namings }) => namings) }
}

/**
 * Every module path of the base model that PEFT's `target_modules` can match, with the modules that adapters can act on among them.
 *
 * @param naming which of the namings the adapter uses
 */
export function modulePaths(info: ModelInfo, naming: number): Map<string, BaseModule | null> {
  const named = (path: string): string => nameIn(namingsOf(info)[naming]!, path)
  const paths = new Map<string, BaseModule | null>()
  for (let layer = 0; layer < info.layers; layer++) {
    for (const module of info.modules) {
      paths.set(named(module.path.replace('{i}', String(layer))), linearModule(module, layer, naming))
    }
  }
  for (const { path, kind } of info.otherModules) {
    paths.set(named(path), kind !== null && info.edges.includes(kind) ? edgeModule(info, kind, naming) : null)
  }
  return paths
}

function moduleNamed(info: ModelInfo, path: string, naming: Naming, index: number): BaseModule | null {
  for (const module of info.modules) {
    const [before, after] = nameIn(naming, module.path).split('{i}') as [string, string]
    if (!path.startsWith(before) || !path.endsWith(after)) continue
    const layer = path.slice(before.length, path.length - after.length)
    if (/^(0|[1-9]\d*)$/.test(layer)) return linearModule(module, Number(layer), index)
  }
  const edge = info.otherModules.find((other) => nameIn(naming, other.path) === path)
  return edge === undefined || edge.kind === null ? null : edgeModule(info, edge.kind, index)
}

function nameIn(naming: Naming, path: string): string {
  const start = naming.find(([own]) => path.startsWith(own))
  return start === undefined ? path : start[1] + path.slice(start[0].length)
}

function linearModule({ inDim, outDim, biased, parts }: LinearModule, layer: number, naming: number): BaseModule {
  return { layer, inDim, outDim, biased, parts, namings: [naming] }
}

function edgeModule(info: ModelInfo, kind: EdgeKind, naming: number): BaseModule {
  const [inDim, outDim] = siteDims(info, kind)
  const outputs = { first: 0, run: outDim, stride: outDim, times: 1 }
  return { layer: 0, inDim, outDim, biased: false, parts: [{ kind, outputs }], namings: [naming] }
}
