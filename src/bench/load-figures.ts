import { isJsonObject } from '../core/json.ts'
import type { StreamedCompletion } from './completion-stream.ts'
import type { LoadResult } from './load.ts'
import { percentile } from './percentile.ts'
import type { Row } from './report.ts'

/** What a request must keep to count for the goodput; null = anything. */
export interface Limits {
  /** Most milliseconds to the first token. */
  readonly firstTokenMs: number | null
  /** Most milliseconds between two tokens, on average over a request. */
  readonly interTokenMs: number | null
}

const SHARES = [0.5, 0.95, 0.99]
const TIERS = ['hot', 'warm', 'cold']

/** The figures of a load as rows without targets. */
export function loadFigures({ outcomes, seconds }: LoadResult, limits: Limits): Row[] {
  const done = outcomes.flatMap((outcome) => (outcome.ok ? [outcome.completion] : []))
  const tokens = done.reduce((sum, { completionTokens }) => sum + completionTokens, 0)
  const good = done.filter((completion) => keeps(completion, limits)).length
  return [
    row('requests', outcomes.length, ''),
    row('failed', outcomes.length - done.length, ''),
    row('time', seconds, 's'),
    row('requests per second', done.length / seconds, '1/s'),
    row('tokens per second', tokens / seconds, 'tokens/s'),
    ...percentileRows('time to first token', done.flatMap(firstTokenMs)),
    ...percentileRows('inter-token latency', done.flatMap(gaps)),
    ...percentileRows(
      'whole request',
      done.map(({ startedAt, endedAt }) => endedAt - startedAt),
    ),
    row('goodput: share within the limits', outcomes.length === 0 ? NaN : good / outcomes.length, ''),
    row('goodput: requests per second', good / seconds, '1/s'),
    ...tierRows(done),
  ].map((one) => (Number.isNaN(one.value) ? { ...one, value: null } : one))
}

function percentileRows(name: string, samples: readonly number[]): (Row & { value: number })[] {
  return SHARES.map((share) => row(`${name}, p${share * 100}`, percentile(samples, share), 'ms'))
}

/** Where the adapters' weights were when the requests came, as Troupe reports it; nothing for servers that do not. */
function tierRows(done: readonly StreamedCompletion[]): (Row & { value: number })[] {
  const tiers = done.flatMap(({ provenance }) => {
    const adapters = isJsonObject(provenance) ? provenance.adapters : null
    return Array.isArray(adapters) ? adapters.filter(isJsonObject).map(({ tier }) => tier) : []
  })
  if (tiers.length === 0) return []
  return TIERS.map((tier) => row(`adapters found ${tier}`, tiers.filter((found) => found === tier).length, ''))
}

function keeps(
  completion: StreamedCompletion,
  { firstTokenMs: mostFirst, interTokenMs: mostBetween }: Limits,
): boolean {
  const [first = Infinity] = firstTokenMs(completion)
  const between = gaps(completion)
  const mean = between.reduce((sum, gap) => sum + gap, 0) / Math.max(1, between.length)
  return first <= (mostFirst ?? Infinity) && mean <= (mostBetween ?? Infinity)
}

function firstTokenMs({ startedAt, arrivals }: StreamedCompletion): number[] {
  return arrivals.slice(0, 1).map((at) => at - startedAt)
}

function gaps({ arrivals }: StreamedCompletion): number[] {
  return arrivals.slice(1).map((at, i) => at - arrivals[i]!)
}

function row(name: string, value: number, unit: string): Row & { value: number } {
  return { name, value, unit, target: null, met: null }
}
