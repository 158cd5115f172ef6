import type { Activation, EdgeKind, Gain, LinearKind, ResidualKind, SiteKind } from '../../core/branch.ts'
import { ACTIVATIONS, EDGE_KINDS, LINEAR_KINDS, RESIDUAL_KINDS, isLinearKind } from '../../core/branch.ts'

/** Gains of all layers at one side of one kind of linear layer: `down_proj.in`. */
export type GainKind = `${LinearKind}.${Gain['side']}`

/**
 * How a graph applies branches. `dense`: every row meets the stacked ranks of all adapters of the batch and masks out what it does not use.
 * `grouped`: every adapter's ranks meet only the rows that use it.
 */
export type Form = 'dense' | 'grouped'

/** Which sites a graph has inputs for. A site that is not compiled in costs nothing. */
export interface GraphSpec {
  readonly linear: readonly LinearKind[]
  readonly residual: readonly ResidualKind[]
  readonly edges: readonly EdgeKind[]
  readonly gains: readonly GainKind[]
  /** Non-linearities available at residual sites. */
  readonly activations: readonly Activation[]
  /** Whether branches at linear sites have a bias; at residual sites they always can. */
  readonly linearBias: boolean
  /** Bottleneck modules of one row that can follow each other at a place; 1 = none follows another. */
  readonly depth: number
  /** Whether tokens can be given as vectors in place of the embedding's. */
  readonly vectors: boolean
  /** Whether every row is told its tokens' positions. */
  readonly positions: boolean
}

export const BASE_SPEC: GraphSpec = {
  linear: [],
  residual: [],
  edges: [],
  gains: [],
  activations: [],
  linearBias: false,
  depth: 1,
  vectors: false,
  positions: false,
}

const GAIN_KINDS = LINEAR_KINDS.flatMap((kind) => (['in', 'out'] as const).map((side): GainKind => `${kind}.${side}`))

/** Names of the graph's inputs and outputs: the contract between the graph and the engine's feeds. */
export const IO = {
  /** i64 `[batch, tokens]`. */
  inputIds: 'input_ids',
  /** i32 `[batch]`: cached tokens including this call's, minus one. */
  lastPosition: 'seqlens_k',
  /** i32 scalar: the largest of `lastPosition` plus one. */
  totalLength: 'total_sequence_length',
  /** i64 `[batch, tokens]`: row of the table of positions or rotations; only where the model (`needsPositions`) or the spec asks for it. */
  positions: 'position_ids',
  /** i64 `[rows]`: which of the `batch · tokens` positions the head runs on. */
  logitRows: 'logit_rows',
  /** f32 `[rows, vocab]`. */
  logits: 'logits',
  /** An empty sequence, first among the outputs: see docs/engine.md, "Writing in place". */
  done: 'done',
  /** f32, with `spec.vectors`: the stream begins with embedding ∘ `keep` + `vectors`, `[batch · tokens, 1]` and `[batch · tokens, hidden]`. */
  keep: 'keep_embedding',
  vectors: 'vectors',
  /** f32 `[tokens, hidden]`, where a layer stands by itself: the residual stream before and after it. */
  stream: 'stream',
  nextStream: 'next_stream',
  past: (layer: number, part: 'key' | 'value') => `past.${layer}.${part}`,
  present: (layer: number, part: 'key' | 'value') => `present.${layer}.${part}`,
  /**
   * The branches' weights, stacked over the adapters of the batch: f32 `[rank, inDim]`, `[rank, outDim]`, `[rank]`;
   * in the grouped form `[units, unit, inDim]`, `[units, unit, outDim]`, `[units, 1, unit]`.
   */
  down: (layer: number, kind: SiteKind) => `down.${layer}.${kind}`,
  up: (layer: number, kind: SiteKind) => `up.${layer}.${kind}`,
  bias: (layer: number, kind: SiteKind) => `bias.${layer}.${kind}`,
  /** f32 `[batch, rank]`: scale of every column in every row; 0 = the row does not use the column. */
  mask: (kind: LinearKind | EdgeKind) => `mask.${kind}`,
  /**
   * The same for a residual site: non-zero only in the mask of the column's own φ, on the level of its module in a stack.
   * In the grouped form `[units, 1, unit]`, ones and zeros, on level 0 for all, and only where there is more than one φ.
   */
  activationMask: (kind: ResidualKind, activation: Activation, level: number) => `mask.${kind}.${activation}.${level}`,
  /** i64 `[units, members]`, grouped form: the rows that use a unit of the stack. */
  members: (kind: LinearKind | ResidualKind) => `members.${kind}`,
  /** f32 `[batch, units · members]`, grouped form: how strongly a row takes what a unit gave for a member. */
  combine: (kind: LinearKind | ResidualKind, level: number) => `combine.${kind}.${level}`,
  /** f32 `[gains, channels]`, the first all ones, and i64 `[batch]`: which of them each row multiplies by. */
  gain: (layer: number, kind: GainKind) => `gain.${layer}.${kind}`,
  gainRow: (kind: GainKind) => `gain_row.${kind}`,
} as const

/** The smallest spec that has the given sites and non-linearities, in canonical order. */
export function specFor(kinds: Iterable<SiteKind>, activations: Iterable<Activation> = []): GraphSpec {
  const wanted = new Set(kinds)
  const residual = RESIDUAL_KINDS.filter((kind) => wanted.has(kind))
  const phis = new Set(activations)
  return {
    ...BASE_SPEC,
    linear: LINEAR_KINDS.filter((kind) => wanted.has(kind)),
    residual,
    edges: EDGE_KINDS.filter((kind) => wanted.has(kind)),
    activations: residual.length === 0 ? [] : ACTIVATIONS.filter((phi) => phis.has(phi)),
  }
}

export function specCovers(spec: GraphSpec, needed: GraphSpec): boolean {
  return specKey(specUnion(spec, needed)) === specKey(spec)
}

export function specUnion(a: GraphSpec, b: GraphSpec): GraphSpec {
  const gains = new Set([...a.gains, ...b.gains])
  return {
    ...specFor([...specKinds(a), ...specKinds(b)], [...a.activations, ...b.activations]),
    gains: GAIN_KINDS.filter((kind) => gains.has(kind)),
    linearBias: a.linearBias || b.linearBias,
    depth: Math.max(a.depth, b.depth),
    vectors: a.vectors || b.vectors,
    positions: a.positions || b.positions,
  }
}

export function specKinds(spec: GraphSpec): SiteKind[] {
  return [...spec.linear, ...spec.residual, ...spec.edges]
}

/** How many sites and gains a layer of the graph has: what a step through it costs beside the base model. */
export function specSize(spec: GraphSpec): number {
  return specKinds(spec).length * spec.depth + spec.gains.length
}

/** Whether branches of a kind have a bias input in this graph. */
export function hasBias(spec: GraphSpec, kind: SiteKind): boolean {
  return isLinearKind(kind) ? spec.linearBias : (RESIDUAL_KINDS as readonly SiteKind[]).includes(kind)
}

/** Whether units of the grouped form have masks: one φ for all needs none, since what a row takes of a unit is said later. */
export function needsUnitMasks({ activations }: GraphSpec): boolean {
  return activations.length > 1
}

/** Stable name of a spec, for logs and maps. */
export function specKey(spec: GraphSpec): string {
  const { gains, activations, linearBias, depth, vectors, positions } = spec
  const features = { linearBias, [`depth${depth}`]: depth > 1, vectors, positions }
  const named = Object.entries(features).flatMap(([name, on]) => (on ? [name] : []))
  return [...specKinds(spec), ...gains, ...activations, ...named].join('+') || 'base'
}
