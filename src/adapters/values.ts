import { TroupeError } from '../core/errors.ts'
import type { OutputRange } from '../core/model-info.ts'
import { outputRuns } from '../core/model-info.ts'
import { transposeInto } from '../core/transpose.ts'
import { elementCount } from '../safetensors/header.ts'
import type { SafetensorsFile } from '../safetensors/file.ts'

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
  // A value minus itself is 0 if it is finite, else not a number: one sum tells for all.
  let sum = 0
  for (let i = 0; i < target.length; i++) sum += target[i]! - target[i]!
  if (sum === 0) return target
  const index = target.findIndex((value) => !Number.isFinite(value))
  const message = `tensor "${name}" has ${target[index]} at element ${index}: values must be finite`
  throw new TroupeError('invalid_adapter', message, { param: name })
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
