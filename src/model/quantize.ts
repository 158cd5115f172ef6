import { fromFloat16, toFloat16 } from './float16.ts'
import { BLOCK } from './tiles.ts'

/** A block of weights in steps: weight ≈ d · step + m, with d and m as f16 bits. */
export interface QuantisedBlock {
  /** `[32]`, 0 … 15. */
  readonly steps: Uint8Array
  d: number
  m: number
}

const LARGEST_STEP4 = 15
const LARGEST_STEP8 = 127

/** How far beyond the range of the steps a block is stretched, in steps: a little clipping of the ends makes all other steps finer. */
const STRETCHES: readonly number[] = [-1, -0.6, -0.3, 0, 0.3, 0.6, 1, 1.4, 1.9, 2.5, 3.2]

/**
 * Quantises a block to 4 bits with a scale and a minimum. Of a few ways to round it, the one with the least error Σ h · (d · q + m − w)² is
 * kept, with the d and m that are optimal for its steps q (weighted least squares).
 *
 * @param weights `[32]`
 * @param importance h, `[32]`: the mean square of each input over some text, not negative; null = all alike
 * @param block filled with the result
 */
export function quantizeBlock4(weights: Float32Array, importance: Float32Array | null, block: QuantisedBlock): void {
  const steps = new Float32Array(BLOCK)
  let [low, high] = [Infinity, -Infinity]
  let [sumH, sumHW] = [0, 0]
  for (let i = 0; i < BLOCK; i++) {
    const w = weights[i]!
    const h = importance === null ? 1 : importance[i]!
    if (w < low) low = w
    if (w > high) high = w
    sumH += h
    sumHW += h * w
  }
  // Inputs that the text never used count alike.
  if (sumH === 0 && importance !== null) return quantizeBlock4(weights, null, block)
  let [d, m, least] = [0, sumHW / sumH, Infinity]
  if (high === low) m = low
  for (const stretch of high > low ? STRETCHES : []) {
    const inverse = (LARGEST_STEP4 + stretch) / (high - low)
    let [sumHQ, sumHQQ, sumHQW] = [0, 0, 0]
    for (let i = 0; i < BLOCK; i++) {
      const h = importance === null ? 1 : importance[i]!
      const q = clamp(Math.round((weights[i]! - low) * inverse), 0, LARGEST_STEP4)
      steps[i] = q
      sumHQ += h * q
      sumHQQ += h * q * q
      sumHQW += h * q * weights[i]!
    }
    const determinant = sumH * sumHQQ - sumHQ * sumHQ
    if (!(determinant > 1e-9 * sumH * sumHQQ)) continue
    const scale = (sumH * sumHQW - sumHW * sumHQ) / determinant
    const minimum = (sumHQQ * sumHW - sumHQ * sumHQW) / determinant
    let error = 0
    for (let i = 0; i < BLOCK; i++) {
      const h = importance === null ? 1 : importance[i]!
      error += h * (scale * steps[i]! + minimum - weights[i]!) ** 2
    }
    if (error < least) [d, m, least] = [scale, minimum, error]
  }
  block.d = toFloat16(d)
  block.m = toFloat16(m)
  const [scale, minimum] = [fromFloat16(block.d), fromFloat16(block.m)]
  for (let i = 0; i < BLOCK; i++)
    block.steps[i] = scale === 0 ? 0 : clamp(Math.round((weights[i]! - minimum) / scale), 0, LARGEST_STEP4)
}

/**
 * Quantises a block to 8 bits, symmetric: the largest weight becomes 127 or −127.
 *
 * @param weights `[32]`
 * @param steps receives step + 128, `[32]`
 * @returns the scale, as f16 bits
 */
export function quantizeBlock8(weights: Float32Array, steps: Uint8Array): number {
  let largest = 0
  for (let i = 0; i < BLOCK; i++) largest = Math.max(largest, Math.abs(weights[i]!))
  const d = toFloat16(largest / LARGEST_STEP8)
  const scale = fromFloat16(d)
  for (let i = 0; i < BLOCK; i++) {
    const step = scale === 0 ? 0 : clamp(Math.round(weights[i]! / scale), -LARGEST_STEP8, LARGEST_STEP8)
    steps[i] = step + 128
  }
  return d
}

function clamp(value: number, low: number, high: number): number {
  return value < low ? low : value > high ? high : value
}
