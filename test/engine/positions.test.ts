import { expect, it } from 'vitest'
import { Positions } from '../../src/engine/positions.ts'

const ROPE = { inverseFrequencies: new Array<number>(8).fill(1), attentionFactor: 1 }
const PLAIN = { positionOffset: null, longRope: null, ropes: [ROPE], maxContext: 100 }

function rows(positions: Positions, spans: Parameters<Positions['feeds']>[0], tokens: number): number[] {
  return Array.from(positions.feeds(spans, tokens, false)['position_ids']!.data as BigInt64Array, Number)
}

it('are not fed where attention counts by itself', () => {
  expect(new Positions(PLAIN).feeds([{ end: 3, known: 3 }], 3, false)).toEqual({})
})

it('of learned tables count from the cached tokens on, row by row', () => {
  const positions = new Positions({ ...PLAIN, positionOffset: 0, ropes: [] })
  expect(rows(positions, [{ end: 7, known: 20 }], 3)).toEqual([4, 5, 6])
  const spans = [5, 9].map((end) => ({ end, known: end }))
  expect(rows(positions, spans, 1)).toEqual([4, 8])
  expect(positions.outgrows(100)).toBe(false)
})

it('of a long rope are in the second table for all of a sequence over the limit', () => {
  const positions = new Positions({ ...PLAIN, longRope: { length: 10, rope: ROPE } })
  expect(rows(positions, [{ end: 4, known: 10 }], 2)).toEqual([2, 3])
  expect(rows(positions, [{ end: 4, known: 11 }], 2)).toEqual([102, 103])
  expect([9, 10, 11].map((cached) => positions.outgrows(cached))).toEqual([false, true, false])
})
