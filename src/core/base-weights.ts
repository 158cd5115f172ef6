import type { EdgeKind, LinearKind } from './branch.ts'

/** The weight of one linear layer, or of an edge, as rows: one per output; of the embedding, one per token. */
export interface WeightRows {
  /** Number of rows. */
  readonly outDim: number
  /** Fills `into` with whole rows, from row `first` on. */
  readRows(into: Float32Array, first: number): void
  /** Fills `into` with the bias; leaves it as it is when there is none. */
  readBias(into: Float32Array): void
}

/** The base model's own weights, in f32 as its checkpoint has them: some adapters are defined relative to them. */
export interface BaseWeights {
  /** @throws TroupeError `invalid_model` when the checkpoint cannot be read */
  rows(layer: number, kind: LinearKind | EdgeKind): WeightRows
  /** Whether the head is the embedding. @throws TroupeError `invalid_model` when the checkpoint cannot be read */
  tiedHead(): boolean
}
