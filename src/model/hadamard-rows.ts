import { hadamardInPlace, hadamardSize } from './hadamard.ts'

/** The largest step of a weight. */
const LARGEST_STEP = 127

/**
 * Turns the inputs of every output and rounds them to 8 bits with one scale: turned weight ≈ step · scale.
 *
 * @param weights `[outputs, inDim]`, turned in place
 * @param scales receives `[outputs]`
 * @returns steps `[outputs, inDim]`
 */
export function roundHadamard(weights: Float32Array, inDim: number, scales: Float32Array): Int8Array {
  hadamardInPlace(weights, hadamardSize(inDim))
  const steps = new Int8Array(weights.length)
  for (let output = 0; output < scales.length; output++) {
    const [start, end] = [output * inDim, (output + 1) * inDim]
    let largest = 0
    for (let i = start; i < end; i++) largest = Math.max(largest, Math.abs(weights[i]!))
    scales[output] = largest / LARGEST_STEP
    if (largest === 0) continue
    for (let i = start; i < end; i++) steps[i] = Math.round((weights[i]! * LARGEST_STEP) / largest)
  }
  return steps
}
