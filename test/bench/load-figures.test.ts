import { expect, it } from 'vitest'
import type { StreamedCompletion } from '../../src/bench/completion-stream.ts'
import type { Limits } from '../../src/bench/load-figures.ts'
import { loadFigures } from '../../src/bench/load-figures.ts'
import type { Outcome } from '../../src/bench/load.ts'
import { percentile } from '../../src/bench/percentile.ts'

const NO_LIMITS: Limits = { firstTokenMs: null, interTokenMs: null }

function completed(arrivals: readonly number[], more: Partial<StreamedCompletion> = {}): Outcome {
  const times = { startedAt: 0, arrivals, endedAt: arrivals.at(-1) ?? 0 }
  const counts = { completionTokens: arrivals.length, promptTokens: 4, provenance: null }
  return { ok: true, model: 'm', completion: { ...times, ...counts, ...more } }
}

function figures(outcomes: readonly Outcome[], seconds: number, limits = NO_LIMITS): Map<string, number | null> {
  return new Map(loadFigures({ outcomes, seconds }, limits).map(({ name, value }) => [name, value]))
}

it('takes percentiles by the nearest rank', () => {
  const samples = Array.from({ length: 100 }, (_, i) => 100 - i)
  expect([0.5, 0.95, 0.99, 1].map((share) => percentile(samples, share))).toEqual([50, 95, 99, 100])
  expect(percentile([7], 0.5)).toBe(7)
  expect(percentile([], 0.5)).toBeNaN()
})

it('counts tokens, failures and times', () => {
  const failed: Outcome = { ok: false, model: 'm', reason: '503: full' }
  const found = figures([completed([100, 110, 130]), completed([200, 230]), failed], 2)
  expect(found.get('requests')).toBe(3)
  expect(found.get('failed')).toBe(1)
  expect(found.get('tokens per second')).toBe(2.5)
  expect(found.get('time to first token, p50')).toBe(100)
  expect(found.get('time to first token, p99')).toBe(200)
  expect(found.get('inter-token latency, p50')).toBe(20)
  expect(found.get('whole request, p95')).toBe(230)
})

it('counts for the goodput what keeps both limits, failures never', () => {
  const failed: Outcome = { ok: false, model: 'm', reason: 'x' }
  const outcomes = [completed([50, 60, 70]), completed([150, 160]), completed([50, 100, 150]), failed]
  const found = figures(outcomes, 1, { firstTokenMs: 100, interTokenMs: 20 })
  expect(found.get('goodput: share within the limits')).toBe(0.25)
  expect(found.get('goodput: requests per second')).toBe(1)
  expect(figures(outcomes, 1).get('goodput: share within the limits')).toBe(0.75)
})

it('counts the tiers that a server reports, and has no value for what did not happen', () => {
  const provenance = { adapters: [{ tier: 'cold' }, { tier: 'hot' }] }
  const found = figures([completed([10], { provenance })], 1)
  expect(found.get('adapters found cold')).toBe(1)
  expect(found.get('adapters found warm')).toBe(0)
  expect(found.get('inter-token latency, p50')).toBeNull()
  expect(figures([completed([10])], 1).has('adapters found hot')).toBe(false)
})
