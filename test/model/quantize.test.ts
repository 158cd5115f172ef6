import { describe, expect, it } from 'vitest'
import { quantizeRows } from '../../src/model/quantize.ts'
import { noise } from '../support/tiny-checkpoint.ts'

interface Quantized {
  readonly steps: Uint8Array
  readonly scales: Float32Array
}

function quantize(weights: Float32Array, rows: number, cols: number): Quantized {
  const groups = Math.ceil(cols / 32)
  const steps = new Uint8Array(rows * groups * 16)
  const scales = new Float32Array(rows * groups)
  quantizeRows(weights, rows, cols, steps, scales)
  return { steps, scales }
}

/** The value ONNX Runtime's MatMulNBits sees at a row and column. */
function valueAt({ steps, scales }: Quantized, cols: number, row: number, col: number): number {
  const block = row * Math.ceil(cols / 32) + Math.floor(col / 32)
  const byte = steps[block * 16 + Math.floor((col % 32) / 2)]!
  const step = col % 2 === 0 ? byte & 15 : byte >> 4
  // + 0 makes -0 plain.
  return (step - 8) * scales[block]! + 0
}

function relativeError(weights: Float32Array, rows: number, cols: number): number {
  const quantized = quantize(weights, rows, cols)
  let error = 0
  let power = 0
  for (let row = 0; row < rows; row++) {
    for (let col = 0; col < cols; col++) {
      const weight = weights[row * cols + col]!
      error += (valueAt(quantized, cols, row, col) - weight) ** 2
      power += weight ** 2
    }
  }
  return Math.sqrt(error / power)
}

describe('block-wise int4', () => {
  it('puts rows, blocks of 32 inputs and nibbles where MatMulNBits looks for them', () => {
    // Steps times a scale of its own for each block: nothing is lost, so every value tells its place.
    const [rows, cols] = [3, 96]
    const steps = (row: number, col: number): number => ((row * 5 + col * 7) % 16) - 8
    const scale = (row: number, col: number): number => 2 ** (row - Math.floor(col / 32))
    const weights = Float32Array.from({ length: rows * cols }, (_, i) => {
      const [row, col] = [Math.floor(i / cols), i % cols]
      return steps(row, col) * scale(row, col)
    })
    const quantized = quantize(weights, rows, cols)
    for (let i = 0; i < weights.length; i++) {
      expect(valueAt(quantized, cols, Math.floor(i / cols), i % cols)).toBe(weights[i])
    }
  })

  it('fills a short last block with zeros', () => {
    const weights = noise(7, 2 * 40)
    const quantized = quantize(weights, 2, 40)
    for (const row of [0, 1]) {
      for (let col = 40; col < 64; col++) expect(valueAt(quantized, 40, row, col)).toBe(0)
    }
    expect(relativeError(weights, 2, 40)).toBeLessThan(0.07)
  })

  it('loses less than plain rounding to sixteen steps', () => {
    const weights = noise(3, 64 * 256).map((value, i) => value + noise(i + 1, 3).reduce((sum, x) => sum + x, 0))
    let plain = 0
    let power = 0
    for (let block = 0; block < weights.length; block += 32) {
      const values = weights.subarray(block, block + 32)
      const largest = values.reduce((m, x) => (Math.abs(x) > Math.abs(m) ? x : m), 0)
      for (const x of values) {
        plain += (Math.min(7, Math.max(-8, Math.round((x * -8) / largest))) * (largest / -8) - x) ** 2
        power += x ** 2
      }
    }
    expect(relativeError(weights, 64, 256)).toBeLessThan(0.97 * Math.sqrt(plain / power))
  })

  it('keeps zeros, one lone value and both signs of an outlier', () => {
    const weights = new Float32Array(4 * 32)
    weights[32 + 5] = 0.3
    weights[64] = 1000
    weights[65] = 0.001
    weights[96] = -1e-30
    const quantized = quantize(weights, 4, 32)
    for (let col = 0; col < 32; col++) expect(valueAt(quantized, 32, 0, col)).toBe(0)
    expect(valueAt(quantized, 32, 1, 5)).toBeCloseTo(0.3, 6)
    expect(valueAt(quantized, 32, 1, 6)).toBe(0)
    expect(valueAt(quantized, 32, 2, 0)).toBeCloseTo(1000, 3)
    expect(valueAt(quantized, 32, 3, 0) / -1e-30).toBeCloseTo(1, 5)
  })
})
