import type { BaseModule } from './base-modules.ts'
import type { BranchPlan } from './plan.ts'
import type { Values } from './values.ts'
import { takeOutputs, transposedRows } from './values.ts'

/** The low-rank update of one module: y += scale · (B (A x) + bias), B `[outDim, rank]`. */
export interface LowRank {
  readonly rank: number
  readonly scale: number
  readonly inDim: number
  readonly outDim: number
  readonly names: BranchPlan['names']
  /** A, `[rank, inDim]`. */
  readonly down: Values
  /** Gives B; the next tensor that is read may overwrite it. */
  readonly rows: () => Float32Array
  /** Gives the bias, `[outDim]`. */
  readonly bias: (() => Float32Array) | null
}

/** The branches of a low-rank update: one per linear layer of the module, all with the same `down`. */
export function planLowRank(update: LowRank, base: BaseModule): BranchPlan[] {
  const { rank, scale, inDim, names, down, rows, bias } = update
  return base.parts.map(({ kind, outputs }) => {
    const outDim = outputs.run * outputs.times
    return {
      layer: base.layer,
      kind,
      rank,
      inDim,
      outDim,
      activation: 'identity',
      scale,
      names,
      down,
      up: transposedRows(rows, rank, outputs),
      a: null,
      c: bias && { count: outDim, fill: (into) => into.set(takeOutputs(bias(), outputs)) },
    }
  })
}

/** Values that the branches of a low-rank update take in memory. */
export function lowRankValues({ rank, inDim, outDim, bias }: Omit<LowRank, 'down' | 'rows'>): number {
  return rank * (inDim + outDim) + (bias === null ? 0 : outDim)
}
