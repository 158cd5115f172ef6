import type { Activation, LinearKind, ResidualKind, SiteKind } from '../../core/branch.ts'
import { ACTIVATIONS, LINEAR_KINDS, RESIDUAL_KINDS } from '../../core/branch.ts'

/** Which sites a graph has inputs for. A site that is not compiled in costs nothing. */
export interface GraphSpec {
  readonly linear: readonly LinearKind[]
  readonly residual: readonly ResidualKind[]
  /** Non-linearities available at residual sites. */
  readonly activations: readonly Activation[]
}

export const BASE_SPEC: GraphSpec = { linear: [], residual: [], activations: [] }

/** Names of the graph's inputs and outputs: the contract between the graph and the engine's feeds. */
export const IO = {
  /** i64 `[batch, tokens]`. */
  inputIds: 'input_ids',
  /** i32 `[batch]`: cached tokens including this call's, minus one. */
  lastPosition: 'seqlens_k',
  /** i32 scalar: the largest of `lastPosition` plus one. */
  totalLength: 'total_sequence_length',
  /** i64 `[batch, tokens]`: row of the table of positions or rotations; only where `needsPositions` says so. */
  positions: 'position_ids',
  /** i64 `[rows]`: which of the `batch · tokens` positions the head runs on. */
  logitRows: 'logit_rows',
  /** f32 `[rows, vocab]`. */
  logits: 'logits',
  /** An empty sequence, first among the outputs: see docs/engine.md, "Writing in place". */
  done: 'done',
  past: (layer: number, part: 'key' | 'value') => `past.${layer}.${part}`,
  present: (layer: number, part: 'key' | 'value') => `present.${layer}.${part}`,
  /** f32 `[rank, inDim]`, `[rank, outDim]`, `[rank]`: the branches' weights, stacked over the adapters of the batch. */
  down: (layer: number, kind: SiteKind) => `down.${layer}.${kind}`,
  up: (layer: number, kind: SiteKind) => `up.${layer}.${kind}`,
  bias: (layer: number, kind: ResidualKind) => `bias.${layer}.${kind}`,
  /** f32 `[batch, 1, rank]`: scale of every column in every row; 0 = the row does not use the column. */
  mask: (kind: LinearKind) => `mask.${kind}`,
  /** The same for a residual site: non-zero only in the mask of the column's own φ. */
  activationMask: (kind: ResidualKind, activation: Activation) => `mask.${kind}.${activation}`,
} as const

/** The smallest spec that has everything the given sites and non-linearities need, in canonical order. */
export function specFor(kinds: Iterable<SiteKind>, activations: Iterable<Activation>): GraphSpec {
  const wanted = new Set(kinds)
  const residual = RESIDUAL_KINDS.filter((kind) => wanted.has(kind))
  const phis = new Set(activations)
  return {
    linear: LINEAR_KINDS.filter((kind) => wanted.has(kind)),
    residual,
    activations: residual.length === 0 ? [] : ACTIVATIONS.filter((phi) => phis.has(phi)),
  }
}

export function specCovers(spec: GraphSpec, needed: GraphSpec): boolean {
  return (
    needed.linear.every((kind) => spec.linear.includes(kind)) &&
    needed.residual.every((kind) => spec.residual.includes(kind)) &&
    needed.activations.every((phi) => spec.activations.includes(phi))
  )
}

export function specUnion(a: GraphSpec, b: GraphSpec): GraphSpec {
  return specFor([...specKinds(a), ...specKinds(b)], [...a.activations, ...b.activations])
}

export function specKinds(spec: GraphSpec): (LinearKind | ResidualKind)[] {
  return [...spec.linear, ...spec.residual]
}

/** Stable name of a spec, for logs and maps. */
export function specKey(spec: GraphSpec): string {
  const kinds = specKinds(spec)
  return kinds.length === 0 ? 'base' : [...kinds, ...spec.activations].join('+')
}
