import type { AdapterWeights, EdgeKind, LinearKind } from '../../src/core/branch.ts'
import { siteDims } from '../../src/core/model-info.ts'
import { TINY_BASE } from './tiny-adapters.ts'
import type { Tensors } from './tiny-checkpoint.ts'
import { tinyInfo } from './tiny-model.ts'

/** A matrix as rows, in f64. */
export type Matrix = readonly (readonly number[])[]

export function multiply(a: Matrix, b: Matrix): number[][] {
  return a.map((row) => b[0]!.map((_, j) => row.reduce((sum, value, k) => sum + value * b[k]![j]!, 0)))
}

export function combine(a: Matrix, b: Matrix, each: (x: number, y: number) => number): number[][] {
  return a.map((row, i) => row.map((value, j) => each(value, b[i]![j]!)))
}

/** W x (+ b) */
export function affine(weight: Matrix, x: readonly number[], bias?: readonly number[]): number[] {
  return weight.map((row, i) => row.reduce((sum, value, k) => sum + value * x[k]!, bias?.[i] ?? 0))
}

/** A tensor of a fixture as a matrix; a vector is one row. */
export function matrixOf(tensors: Tensors, name: string): Matrix {
  const { shape, values } = tensors[name]!
  const width = shape.at(-1)!
  const all = Array.from(values!)
  return Array.from({ length: all.length / width }, (_, row) => all.slice(row * width, (row + 1) * width))
}

/** Weight and bias of a module of `TINY_BASE`. */
export function baseOf(layer: number, kind: LinearKind | EdgeKind): { weight: Matrix; bias: number[] } {
  const [inDim, outDim] = siteDims(tinyInfo(), kind)
  const width = kind === 'embed_tokens' ? outDim : inDim
  const rows = TINY_BASE.rows(layer, kind)
  const flat = new Float32Array(rows.outDim * width)
  rows.readRows(flat, 0)
  const bias = new Float32Array(rows.outDim)
  rows.readBias(bias)
  const weight = Array.from({ length: rows.outDim }, (_, i) => Array.from(flat.subarray(i * width, (i + 1) * width)))
  return { weight, bias: Array.from(bias) }
}

/** What a linear layer of `TINY_BASE` returns for x with an adapter in the common form (docs/engine.md), in f64. */
export function adapted(
  { branches, gains }: Pick<AdapterWeights, 'branches' | 'gains'>,
  layer: number,
  kind: LinearKind,
  x: readonly number[],
): number[] {
  const gain = (side: 'in' | 'out'): Float32Array | undefined =>
    gains.find((one) => one.layer === layer && one.kind === kind && one.side === side)?.values
  const { weight, bias } = baseOf(layer, kind)
  const read = x.map((value, i) => value * (gain('in')?.[i] ?? 1))
  const y = affine(weight, read, bias).map((value, o) => value * (gain('out')?.[o] ?? 1))
  for (const branch of branches) {
    if (branch.layer !== layer || branch.kind !== kind) continue
    const { rank, down, up, a, c, scale } = branch
    for (let o = 0; o < y.length; o++) {
      let sum = c?.[o] ?? 0
      for (let r = 0; r < rank; r++) {
        const inner = x.reduce((total, value, i) => total + value * down[r * x.length + i]!, a?.[r] ?? 0)
        sum += inner * up[r * y.length + o]!
      }
      y[o]! += scale * sum
    }
  }
  return y
}

/** An input for a linear layer. */
export function inputOf(kind: LinearKind): number[] {
  const [inDim] = siteDims(tinyInfo(), kind)
  return Array.from({ length: inDim }, (_, i) => Math.sin(3 * i + 1))
}

/** Largest difference of two vectors. */
export function difference(a: readonly number[], b: readonly number[]): number {
  return Math.max(...a.map((value, i) => Math.abs(value - b[i]!)))
}
