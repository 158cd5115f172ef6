import { expect, it } from 'vitest'
import { RandomSource } from '../../src/engine/random.ts'
import { ZipfRanks } from '../../src/bench/zipf.ts'

function frequencies(count: number, exponent: number, draws: number): number[] {
  const source = new RandomSource(3)
  const ranks = new ZipfRanks(count, exponent, () => source.next())
  const counts = new Array<number>(count).fill(0)
  for (let n = 0; n < draws; n++) counts[ranks.draw()]!++
  return counts.map((times) => times / draws)
}

it('draws a rank as often as its power of the place says', () => {
  const weights = [1, 2, 3, 4, 5].map((place) => place ** -1.1)
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  for (const [rank, share] of frequencies(5, 1.1, 40_000).entries()) {
    expect(Math.abs(share - weights[rank]! / total)).toBeLessThan(0.01)
  }
})

it('draws all alike with the exponent 0, and a single one always', () => {
  for (const share of frequencies(4, 0, 40_000)) expect(Math.abs(share - 0.25)).toBeLessThan(0.01)
  expect(frequencies(1, 1.1, 10)).toEqual([1])
})

it('never leaves its ranks at the ends of the random numbers', () => {
  expect(new ZipfRanks(3, 1, () => 0).draw()).toBe(0)
  expect(new ZipfRanks(3, 1, () => 1 - 2 ** -32).draw()).toBe(2)
})
