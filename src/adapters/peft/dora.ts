import type { BaseWeights } from '../../core/base-weights.ts'
import { isEdgeKind, siteName } from '../../core/branch.ts'
import { TroupeError } from '../../core/errors.ts'
import type { OutputRange } from '../../core/model-info.ts'
import { outputRuns } from '../../core/model-info.ts'
import type { SafetensorsFile } from '../../safetensors/file.ts'
import type { BaseModule } from '../base-modules.ts'
import type { LowRank } from '../low-rank.ts'
import { planLowRank } from '../low-rank.ts'
import type { BranchPlan, GainPlan } from '../plan.ts'
import { readFinite, takeOutputs } from '../values.ts'

/** Elements of the base model's weight held at a time. */
const PIECE = 1 << 20

/**
 * A weight-decomposed LoRA (Liu et al. 2024): every row of W + scale · B A is brought to the length m that was trained. As PEFT leaves the
 * base layer's bias b outside of that,
 *
 *     y = g ∘ (W x + scale · B A x) + b,   g = m / ‖row of W + scale · B A‖
 *
 * is a gain g on W x + b, branches whose `up` is multiplied by g and the scale, and a bias c = (1 − g) ∘ b after `up`.
 *
 * @param magnitude the tensor m
 * @throws TroupeError `invalid_adapter` naming the tensor
 */
export function planDora(
  update: LowRank,
  magnitude: string,
  base: BaseModule,
  file: SafetensorsFile,
  weights: BaseWeights,
): { readonly branches: BranchPlan[]; readonly gains: GainPlan[] } {
  const gains: GainPlan[] = []
  const branches = planLowRank(update, base).map((branch, i): BranchPlan => {
    const { kind, outputs } = base.parts[i]!
    const { layer } = base
    if (isEdgeKind(kind)) throw new Error(`a DoRA at ${kind}`)
    const rows = weights.rows(layer, kind)
    let known: Float32Array | null = null
    const gain = (): Float32Array => {
      const site = siteName(layer, kind)
      return (known ??= ratios(takeOutputs(readFinite(file, magnitude), outputs), lengths(update, outputs, rows), {
        magnitude,
        site,
      }))
    }
    const { rank, outDim, scale } = branch
    gains.push({ layer, kind, side: 'out', values: { count: outDim, fill: (into) => into.set(gain()) } })
    const up = {
      count: branch.up.count,
      fill: (into: Float32Array) => {
        branch.up.fill(into)
        const g = gain()
        for (let r = 0; r < rank; r++) for (let o = 0; o < outDim; o++) into[r * outDim + o]! *= scale * g[o]!
      },
    }
    const c = {
      count: outDim,
      fill: (into: Float32Array) => {
        rows.readBias(into)
        const g = gain()
        for (let o = 0; o < outDim; o++) into[o]! *= 1 - g[o]!
      },
    }
    return { ...branch, scale: 1, up, c: base.biased ? c : null }
  })
  return { branches, gains }
}

/** Lengths of some rows of W + scale · B A. */
function lengths(
  { rank, scale, inDim, down, rows }: LowRank,
  outputs: OutputRange,
  base: ReturnType<BaseWeights['rows']>,
): Float64Array {
  const a = new Float32Array(down.count)
  down.fill(a)
  const b = rows()
  const found = new Float64Array(base.outDim)
  const most = Math.max(1, Math.floor(PIECE / inDim))
  const row = new Float64Array(inDim)
  let done = 0
  for (const [first, count] of outputRuns(outputs)) {
    for (let start = 0; start < count; start += most) {
      const taken = Math.min(most, count - start)
      const piece = new Float32Array(taken * inDim)
      base.readRows(piece, done)
      for (let i = 0; i < taken; i++) {
        row.set(piece.subarray(i * inDim, (i + 1) * inDim))
        for (let r = 0; r < rank; r++) {
          const factor = scale * b[(first + start + i) * rank + r]!
          const from = r * inDim
          for (let k = 0; k < inDim; k++) row[k]! += factor * a[from + k]!
        }
        let sum = 0
        for (let k = 0; k < inDim; k++) sum += row[k]! * row[k]!
        found[done + i] = Math.sqrt(sum)
      }
      done += taken
    }
  }
  return found
}

function ratios(
  magnitudes: Float32Array,
  found: Float64Array,
  { magnitude, site }: { readonly magnitude: string; readonly site: string },
): Float32Array {
  return magnitudes.map((value, o) => {
    const gain = value / found[o]!
    if (Number.isFinite(gain)) return gain
    const text = `tensor "${magnitude}" gives a length to row ${o} of ${site}, which has none: base and LoRA cancel out`
    throw new TroupeError('invalid_adapter', text, { param: magnitude })
  })
}
