import { describe, expect, it } from 'vitest'
import { fromFloat16, toFloat16 } from '../../src/model/float16.ts'
import { packRows } from '../../src/model/tile-packer.ts'
import { BLOCK, byteIndex, nibbleIndex } from '../../src/model/tiles.ts'
import { noise } from '../support/tiny-checkpoint.ts'

const ONES = new Float32Array(32).fill(1)

/** What one output of 32 inputs becomes, as the device reads it. */
async function rounded(format: 'q8' | 'q4', weights: Float32Array, importance: Float32Array | null = null) {
  const { w, d, m } = await packRows(format, weights, BLOCK, importance)
  const steps = Array.from({ length: BLOCK }, (_, input) => {
    if (format === 'q8') return w[byteIndex(input, 0)]! - 128
    const { byte, high } = nibbleIndex(input, 0)
    return high ? w[byte]! >> 4 : w[byte]! & 15
  })
  const [scale, minimum] = [fromFloat16(d[0]!), format === 'q4' ? fromFloat16(m[0]!) : 0]
  return { steps, scale, values: Float32Array.from(steps, (step) => scale * step + minimum) }
}

async function rounded4(weights: Float32Array, importance: Float32Array | null = null): Promise<Float32Array> {
  return (await rounded('q4', weights, importance)).values
}

function error(found: Float32Array, expected: Float32Array, importance: Float32Array = ONES): number {
  return found.reduce((sum, value, i) => sum + importance[i]! * (value - expected[i]!) ** 2, 0)
}

describe('a block of 4 bits', () => {
  it('gives values on a grid back exactly', async () => {
    const weights = Float32Array.from({ length: 32 }, (_, i) => 0.25 * ((i * 7) % 16) - 1.5)
    expect(await rounded4(weights)).toEqual(weights)
  })

  it('loses less than plain rounding between the smallest and the largest weight', async () => {
    let [searched, plain] = [0, 0]
    for (let seed = 1; seed <= 50; seed++) {
      const weights = noise(seed, 32)
      const low = Math.min(...weights)
      const step = (Math.max(...weights) - low) / 15
      const simple = weights.map((w) => Math.round((w - low) / step) * step + low)
      searched += error(await rounded4(weights), weights)
      plain += error(simple, weights)
    }
    expect(searched).toBeLessThan(0.9 * plain)
  })

  it('errs where inputs matter little', async () => {
    let [weighted, even] = [0, 0]
    for (let seed = 1; seed <= 50; seed++) {
      const weights = noise(seed, 32)
      const importance = noise(seed + 100, 32).map((x) => x ** 4 + 1e-4)
      weighted += error(await rounded4(weights, importance), weights, importance)
      even += error(await rounded4(weights), weights, importance)
    }
    expect(weighted).toBeLessThan(0.8 * even)
  })

  it('keeps zeros, equal weights, a lone outlier, and what inputs without any use need', async () => {
    expect(await rounded4(new Float32Array(32))).toEqual(new Float32Array(32))
    expect(await rounded4(new Float32Array(32).fill(-3))).toEqual(new Float32Array(32).fill(-3))
    const outlier = new Float32Array(32)
    outlier[7] = 960
    const found = await rounded4(outlier)
    expect(found[7]).toBeCloseTo(960, -1)
    expect(found[8]).toBeCloseTo(0, 0)
    const weights = noise(3, 32)
    expect(await rounded4(weights, new Float32Array(32))).toEqual(await rounded4(weights))
  })
})

describe('a block of 8 bits', () => {
  it('is symmetric, at most half a step off', async () => {
    const weights = noise(5, 32)
    const { scale, values } = await rounded('q8', weights)
    const largest = weights.reduce((most, w) => Math.max(most, Math.abs(w)), 0)
    expect(scale).toBeCloseTo(largest / 127, 4)
    weights.forEach((w, i) => expect(Math.abs(values[i]! - w)).toBeLessThan(0.56 * scale))
  })

  it('has the middle step for zeros', async () => {
    const { scale, steps } = await rounded('q8', new Float32Array(32))
    expect(scale).toBe(0)
    expect(steps.every((step) => step === 0)).toBe(true)
  })
})

describe('f16', () => {
  it('rounds to the nearest, ties to even, and gives every number of its own back', () => {
    for (let half = 0; half < 0x7c00; half++) expect(toFloat16(fromFloat16(half))).toBe(half)
    expect(toFloat16(-2)).toBe(0xc000)
    expect(toFloat16(1 + 2 ** -11)).toBe(0x3c00)
    expect(toFloat16(1 + 3 * 2 ** -11)).toBe(0x3c02)
    expect(toFloat16(65519)).toBe(0x7bff)
    expect(toFloat16(65520)).toBe(0x7c00)
    expect(toFloat16(2 ** -25)).toBe(0)
    expect(toFloat16(1.5 * 2 ** -25)).toBe(1)
  })
})
