import type { Activation, Branch, SiteKind } from '../core/branch.ts'
import { isLinearKind } from '../core/branch.ts'
import type { ModelInfo } from '../core/model-info.ts'
import { siteDims } from '../core/model-info.ts'
import type { GraphSpec } from '../model/graph/spec.ts'
import { specFor } from '../model/graph/spec.ts'

/** What one adapter version puts on the stack of one site kind: the same number of rows in every layer. */
export interface PackedKind {
  /** Largest rank of any layer, plus one row when there is a bias after `up`. */
  readonly rows: number
  /** φ of each row. */
  readonly activations: readonly Activation[]
  /** By layer; null where the module has no branch. */
  readonly branches: readonly (Branch | null)[]
}

/** An adapter version as the bank and the graph see it. The weights stay where they are. */
export interface PackedAdapter {
  readonly digest: string
  readonly kinds: ReadonlyMap<SiteKind, PackedKind>
  /** Bytes it takes in the bank. */
  readonly bytes: number
  /** The sites and non-linearities a graph needs to run it. */
  readonly spec: GraphSpec
}

/**
 * Groups branches by site kind. A bias `c` after `up` becomes one more rank row with `down = 0`, `a = 1`, φ = identity and `up = c`,
 * so the graph needs no case for it.
 */
export function packAdapter(digest: string, branches: readonly Branch[], info: ModelInfo): PackedAdapter {
  const byKind = new Map<SiteKind, (Branch | null)[]>()
  for (const branch of branches) {
    let layers = byKind.get(branch.kind)
    if (layers === undefined) byKind.set(branch.kind, (layers = new Array<Branch | null>(info.layers).fill(null)))
    if (layers[branch.layer]) throw new Error(`two branches at layers.${branch.layer}.${branch.kind}`)
    layers[branch.layer] = branch
  }
  const kinds = new Map<SiteKind, PackedKind>()
  const activations = new Set<Activation>()
  let bytes = 0
  for (const [kind, layers] of byKind) {
    const packed = packKind(kind, layers)
    kinds.set(kind, packed)
    for (const phi of packed.activations) activations.add(phi)
    bytes += packed.rows * bytesPerRow(info, kind)
  }
  return { digest, kinds, bytes, spec: specFor(kinds.keys(), activations) }
}

/** Bytes one rank row takes over all layers: down, up and, at residual sites, its bias. */
export function bytesPerRow(info: ModelInfo, kind: SiteKind): number {
  const [inDim, outDim] = siteDims(info, kind)
  return (inDim + outDim + (isLinearKind(kind) ? 0 : 1)) * Float32Array.BYTES_PER_ELEMENT * info.layers
}

function packKind(kind: SiteKind, layers: readonly (Branch | null)[]): PackedKind {
  const present = layers.filter((branch) => branch !== null)
  const rank = Math.max(...present.map((branch) => branch.rank))
  const phi = present[0]!.activation
  if (present.some((branch) => branch.activation !== phi)) throw new Error(`different non-linearities at ${kind}`)
  if (isLinearKind(kind) && present.some((branch) => branch.a || branch.c || branch.activation !== 'identity'))
    throw new Error(`a branch at ${kind} has a bias or a non-linearity`)
  const activations = new Array<Activation>(rank).fill(phi)
  if (present.some((branch) => branch.c !== null)) activations.push('identity')
  return { rows: activations.length, activations, branches: layers }
}
