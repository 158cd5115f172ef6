import type { Activation, Branch, SiteKind } from '../core/branch.ts'
import type { OutputRange } from '../core/model-info.ts'
import { outputRuns } from '../core/model-info.ts'
import { TroupeError } from '../core/errors.ts'
import { transposeInto } from '../core/transpose.ts'
import { elementCount } from '../safetensors/header.ts'
import type { SafetensorsFile } from '../safetensors/file.ts'

/** One branch before its values are read: where it acts and which tensors make it. */
export interface BranchPlan {
  readonly layer: number
  readonly kind: SiteKind
  readonly rank: number
  readonly inDim: number
  readonly outDim: number
  readonly activation: Activation
  readonly scale: number
  /** Tensor `[rank, inDim]`. */
  readonly down: string
  /** Tensor `[outDim, rank]`, as of a linear layer; of a fused module, `[all outputs, rank]`. */
  readonly up: string
  /** Which rows of `up` are this branch's; null = all. */
  readonly outputs: OutputRange | null
  /** Tensor `[rank]`. */
  readonly a: string | null
  /** Tensor `[outDim]`. */
  readonly c: string | null
  /** Tensor `[1]` or `[outDim]` that multiplies the branch's output; folded into `up` and `c`. */
  readonly gain: string | null
}

/** Values of all branches together; a `down` that several share counts once. */
export function countParameters(plans: readonly BranchPlan[]): number {
  const downs = new Set<string>()
  let sum = 0
  for (const { rank, inDim, outDim, down, a, c } of plans) {
    if (!downs.has(down)) sum += rank * inDim
    downs.add(down)
    sum += rank * outDim + (a === null ? 0 : rank) + (c === null ? 0 : outDim)
  }
  return sum
}

/**
 * Reads the values of all branches as f32 into one shared buffer.
 *
 * @throws TroupeError `invalid_adapter` naming a tensor with a value that is not finite
 */
export function loadBranches(plans: readonly BranchPlan[], file: SafetensorsFile): Branch[] {
  const shared = new SharedArrayBuffer(countParameters(plans) * 4)
  let used = 0
  const take = (count: number): Float32Array => {
    const view = new Float32Array(shared, used, count)
    used += count * 4
    return view
  }
  const downs = new Map<string, Float32Array>()
  return plans.map((plan) => {
    const { layer, kind, rank, scale, activation, inDim, outDim } = plan
    const down = downs.get(plan.down) ?? readFinite(file, plan.down, take(rank * inDim))
    downs.set(plan.down, down)
    const up = take(rank * outDim)
    const whole = readFinite(file, plan.up)
    let column = 0
    for (const [first, count] of outputRuns(plan.outputs ?? wholeRange(outDim))) {
      transposeInto(whole.subarray(first * rank), count, rank, up, outDim, column)
      column += count
    }
    const a = plan.a === null ? null : readFinite(file, plan.a, take(rank))
    const c = plan.c === null ? null : readFinite(file, plan.c, take(outDim))
    if (plan.gain !== null) applyGain(readFinite(file, plan.gain), up, c, outDim)
    return { layer, kind, rank, scale, activation, down, up, a, c }
  })
}

function wholeRange(outDim: number): OutputRange {
  return { first: 0, run: outDim, stride: outDim, times: 1 }
}

function applyGain(gain: Float32Array, up: Float32Array, c: Float32Array | null, outDim: number): void {
  const of = (column: number): number => gain[gain.length === 1 ? 0 : column]!
  for (let i = 0; i < up.length; i++) up[i]! *= of(i % outDim)
  for (let i = 0; c !== null && i < outDim; i++) c[i]! *= of(i)
}

function readFinite(file: SafetensorsFile, name: string, into?: Float32Array): Float32Array {
  const target = into ?? new Float32Array(elementCount(file.entry(name).shape))
  file.readF32(name, target)
  const index = target.findIndex((value) => !Number.isFinite(value))
  if (index < 0) return target
  throw new TroupeError(
    'invalid_adapter',
    `tensor "${name}" has ${target[index]} at element ${index}: values must be finite`,
    {
      param: name,
    },
  )
}
