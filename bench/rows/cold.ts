import type { StreamedCompletion, Target } from '../../src/bench/completion-stream.ts'
import { streamCompletion } from '../../src/bench/completion-stream.ts'
import { BASE, ROWS } from '../context.ts'
import type { Group } from '../groups.ts'
import { figure, promise } from '../groups.ts'
import { median } from '../measure/alternate.ts'
import { completionBody } from '../measure/batch.ts'
import { freshPrompt } from '../measure/prompts.ts'
import { readStored } from '../synthetic/registered.ts'

/** Adapters that have room in memory and in the bank. */
const ROOM = 2.5
const ADAPTERS = 8
const OTHERS = 8

/** What the first request to an adapter pays, and what everybody else does. */
export const COLD: Group = {
  name: 'cold',
  rows: ['cold'],
  run: async (context, _rows, progress) => {
    const { rounds, promptTokens, newTokens } = context.options
    const names = await context.adapters(await context.server(), 'rank-16', ADAPTERS)
    const { bytes, deviceBytes } = (await readStored(context.path('store'), names[0]!)).version
    const roomFor = (each: number): string => `${Math.ceil(ROOM * each)}`
    const budgets = ['--memory-bytes', roomFor(bytes), '--bank-bytes', roomFor(deviceBytes)]
    const server = await context.start(context.path('store'), budgets)
    const total = ADAPTERS * (rounds + 1)
    const probe = new ColdProbe(server, promptTokens)

    const cold: number[] = []
    const hot: number[] = []
    // The first time around warms up.
    for (let n = 0; n < total; n++) {
      const times = await probe.pair(names[n % ADAPTERS]!)
      if (n >= ADAPTERS) {
        cold.push(times.cold)
        hot.push(times.hot)
      }
      progress(n + 1, total, 'a cold adapter, then hot')
    }
    const delays: number[] = []
    for (let n = 0; n < rounds; n++) delays.push(await probe.delay(names[n % ADAPTERS]!, 4 * newTokens))
    await server.kill()
    return [
      promise('cold adapter of 35 MB: first token beyond a hot one', median(cold) - median(hot), 'ms', { most: 60 }),
      promise(`cold adapter: delay of ${OTHERS} others beyond a hot one’s`, median(delays), 'steps', { most: 1 }),
      figure('first token, cold adapter', median(cold), 'ms'),
      figure('first token, hot adapter', median(hot), 'ms'),
    ]
  },
}

class ColdProbe {
  readonly #server: Target
  readonly #promptTokens: number

  constructor(server: Target, promptTokens: number) {
    this.#server = server
    this.#promptTokens = promptTokens
  }

  /** Milliseconds to the first token of two requests to one adapter that was not in memory. */
  async pair(name: string): Promise<{ readonly cold: number; readonly hot: number }> {
    return { cold: await this.#firstToken(name, 'cold'), hot: await this.#firstToken(name, 'hot') }
  }

  /**
   * While others decode, a request to a cold adapter and one to the same, hot now: how much longer the longest pause of the others
   * was, in their usual steps.
   */
  async delay(name: string, newTokens: number): Promise<number> {
    let started = 0
    let begun: () => void = () => undefined
    const allStarted = new Promise<void>((resolve) => (begun = resolve))
    const others = Array.from({ length: OTHERS }, () => {
      let tokens = 0
      const onToken = (): void => {
        if (++tokens === 1 && ++started === OTHERS) begun()
      }
      return streamCompletion(this.#server, completionBody(BASE, freshPrompt(ROWS), newTokens), { onToken })
    })
    const all = Promise.all(others)
    await Promise.race([allStarted, all])
    const from = performance.now()
    await this.#firstToken(name, 'cold')
    const between = performance.now()
    await this.#firstToken(name, 'hot')
    const to = performance.now()
    const rows = await all
    const step = median(rows.flatMap(({ arrivals }) => gaps(arrivals)))
    return (longestGap(rows, from, between) - longestGap(rows, between, to)) / step
  }

  async #firstToken(name: string, expected: 'cold' | 'hot'): Promise<number> {
    const body = completionBody(name, freshPrompt(this.#promptTokens), 1)
    const { startedAt, arrivals, provenance } = await streamCompletion(this.#server, body)
    const tier = (provenance as { adapters: readonly { tier: string }[] }).adapters[0]?.tier
    if (tier !== expected) throw new Error(`${name} should be ${expected}, it is ${tier}`)
    return arrivals[0]! - startedAt
  }
}

function gaps(arrivals: readonly number[]): number[] {
  return arrivals.slice(1).map((at, i) => at - arrivals[i]!)
}

/** The longest pause between two tokens of a row that reaches into the time. */
function longestGap(rows: readonly StreamedCompletion[], from: number, to: number): number {
  const pauses = rows.flatMap(({ arrivals }) =>
    gaps(arrivals).filter((_, i) => arrivals[i + 1]! > from && arrivals[i]! < to),
  )
  if (pauses.length === 0) throw new Error('nobody else was decoding: raise the number of new tokens')
  return Math.max(...pauses)
}
