import { TroupeError } from '../core/errors.ts'
import type { OutputRange } from '../core/model-info.ts'
import { outputRuns } from '../core/model-info.ts'
import { transposeInto } from '../core/transpose.ts'
import { elementCount } from '../safetensors/header.ts'
import type { SafetensorsFile } from '../safetensors/file.ts'

/** Most elements of the memory that `borrowFinite` keeps, 4 MiB of it; larger tensors get their own. */
const LENT_ELEMENTS = 1 << 20
let lent = new Float32Array(0)

/** An array of an adapter before it is read or computed. The same object in two places is one array in memory. */
export interface Values {
  readonly count: number
  /** Fills an array of `count` elements. */
  fill(into: Float32Array): void
}

/** The values of a tensor as they are in the file. */
export function tensorValues(file: SafetensorsFile, name: string): Values {
  return { count: elementCount(file.entry(name).shape), fill: (into) => void readFinite(file, name, into) }
}

/**
 * Some rows of a matrix `[outDim, rank]`, transposed: `[rank, rows taken]`.
 *
 * @param rows gives the whole matrix
 */
export function transposedRows(rows: () => Float32Array, rank: number, outputs: OutputRange): Values {
  const outDim = outputs.run * outputs.times
  return {
    count: rank * outDim,
    fill: (into) => {
      const whole = rows()
      let column = 0
      for (const [first, count] of outputRuns(outputs)) {
        transposeInto(whole.subarray(first * rank), count, rank, into, outDim, column)
        column += count
      }
    },
  }
}

/** Some elements of a vector with one element per output. */
export function takeOutputs(vector: Float32Array, outputs: OutputRange): Float32Array {
  const taken = new Float32Array(outputs.run * outputs.times)
  let filled = 0
  for (const [first, count] of outputRuns(outputs)) {
    taken.set(vector.subarray(first, first + count), filled)
    filled += count
  }
  return taken
}

/**
 * Reads a tensor as f32.
 *
 * @throws TroupeError `invalid_adapter` naming a tensor with a value that is not finite
 */
export function readFinite(file: SafetensorsFile, name: string, into?: Float32Array): Float32Array {
  const target = into ?? new Float32Array(elementCount(file.entry(name).shape))
  file.readF32(name, target)
  if (allFinite(target)) return target
  const index = target.findIndex((value) => !Number.isFinite(value))
  const message = `tensor "${name}" has ${target[index]} at element ${index}: values must be finite`
  throw new TroupeError('invalid_adapter', message, { param: name })
}

/**
 * The same in memory that the next call uses again, for values that are only passed on: fresh memory for every tensor takes the system longer
 * than the reading.
 *
 * @throws TroupeError as `readFinite`
 */
export function borrowFinite(file: SafetensorsFile, name: string): Float32Array {
  const count = elementCount(file.entry(name).shape)
  if (count > LENT_ELEMENTS) return readFinite(file, name)
  if (lent.length < count) lent = new Float32Array(count)
  return readFinite(file, name, lent.subarray(0, count))
}

/** A value minus itself is 0 if it is finite, else not a number: sums tell for all, and four of them need not wait for each other. */
function allFinite(values: Float32Array): boolean {
  let [s0, s1, s2, s3] = [0, 0, 0, 0]
  const whole = values.length - (values.length % 4)
  for (let i = 0; i < whole; i += 4) {
    s0 += values[i]! - values[i]!
    s1 += values[i + 1]! - values[i + 1]!
    s2 += values[i + 2]! - values[i + 2]!
    s3 += values[i + 3]! - values[i + 3]!
  }
  for (let i = whole; i < values.length; i++) s0 += values[i]! - values[i]!
  return s0 + s1 + s2 + s3 === 0
}

/**
 * Checks a tensor's shape.
 *
 * @param expected a size per dimension; a text stands for any size and names it
 * @throws TroupeError `invalid_adapter` naming the tensor and both shapes
 */
export function expectShape(file: SafetensorsFile, name: string, expected: readonly (number | string)[]): void {
  const { shape } = file.entry(name)
  const fits =
    shape.length === expected.length && expected.every((size, i) => typeof size === 'string' || size === shape[i])
  if (fits) return
  const message = `tensor "${name}" is [${shape.join(', ')}], adapter_config.json gives [${expected.join(', ')}]`
  throw new TroupeError('invalid_adapter', message, { param: name })
}
