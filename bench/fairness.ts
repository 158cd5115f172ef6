import { cpSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type { Target } from '../src/bench/completion-stream.ts'
import { streamCompletion } from '../src/bench/completion-stream.ts'
import { percentile } from '../src/bench/percentile.ts'
import type { Row } from '../src/bench/report.ts'
import { report } from '../src/bench/report.ts'
import { scratchFolder } from '../test/support/at-exit.ts'
import { startServerProcess } from '../test/support/server-process.ts'
import { begin } from './begin.ts'
import { figure, promise } from './groups.ts'
import { completionBody } from './measure/batch.ts'
import { freshPrompt } from './measure/prompts.ts'

/**
 * Whether one tenant can take from another: two tenants, then ten, on one server with the demo model, all in one run.
 *
 *     npm run fairness -- [--seconds 20] [--json FILE]
 */

begin()
const { values: options } = parseArgs({
  options: { seconds: { type: 'string', default: '20' }, json: { type: 'string' } },
})
const seconds = Number(options.seconds)
if (!(seconds >= 2)) throw new Error(`--seconds takes a number from 2 on, not ${options.seconds}`)

const REPOSITORY = join(import.meta.dirname, '..')
const MODEL = 'demo'
const PROMPT_TOKENS = 32
/** Of the demo model. */
const VOCABULARY = 2048
/** What 40 clients send with 4 prompts and 4 answers each: more than the server takes. */
const CROWD = 40 * 4 * 4
/** Of B's answers. */
const ANSWER_TOKENS = 16
const WEIGHTS = Array.from({ length: 10 }, (_, i) => i + 1)

const work = scratchFolder('troupe-fairness-')
const key = (tenant: string): string => `key-of-tenant-${tenant}`
const tenants = [{ name: 'a' }, { name: 'b' }, ...WEIGHTS.map((weight) => ({ name: `w${weight}`, limits: { weight } }))]
const keys = join(work, 'keys.json')
writeFileSync(keys, JSON.stringify(tenants.map(({ name, ...rest }) => ({ tenant: name, key: key(name), ...rest }))))
mkdirSync(join(work, 'store'))
cpSync(join(REPOSITORY, 'adapters-store'), join(work, 'store'), { recursive: true })
const flags = [
  '--precision',
  'f32',
  '--threads',
  '2',
  '--cache-dir',
  join(REPOSITORY, '.cache/fairness'),
  '--keys',
  keys,
  // Requests of a tenant are bounded by the queue here, not by their number.
  '--tenant-concurrency',
  '1000',
]
const server = await startServerProcess(join(REPOSITORY, 'models/demo'), join(work, 'store'), flags)
const as = (tenant: string): Target => ({ url: server.url, key: key(tenant) })

/** Keeps so many requests of a tenant open until it is told to stop. */
class Flood {
  tokens = 0
  refused = 0
  readonly #stop = new AbortController()
  readonly #clients: Promise<void>[]

  constructor(tenant: string, open: number, newTokens: number) {
    this.#clients = Array.from({ length: open }, () => this.#client(tenant, newTokens))
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    await Promise.all(this.#clients)
  }

  async #client(tenant: string, newTokens: number): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const onToken = (): void => void this.tokens++
      const body = completionBody(MODEL, freshPrompt(PROMPT_TOKENS, VOCABULARY), newTokens)
      try {
        await streamCompletion(as(tenant), body, { signal: this.#stop.signal, onToken })
      } catch {
        if (this.#stop.signal.aborted) return
        this.refused++
        await sleep(100)
      }
    }
  }
}

/** A request of a tenant every so often. @returns milliseconds to each first token, and how many were refused */
async function trickle(tenant: string, count: number, everyMs: number): Promise<{ firsts: number[]; refused: number }> {
  const firsts: number[] = []
  let refused = 0
  const requests: Promise<void>[] = []
  for (let n = 0; n < count; n++) {
    const body = completionBody(MODEL, freshPrompt(PROMPT_TOKENS, VOCABULARY), ANSWER_TOKENS)
    const request = streamCompletion(as(tenant), body)
      .then(({ startedAt, arrivals }) => void firsts.push(arrivals[0]! - startedAt))
      .catch(() => void refused++)
    requests.push(request)
    await sleep(everyMs)
  }
  await Promise.all(requests)
  return { firsts, refused }
}

const everyMs = 250
const count = Math.max(8, Math.round((seconds * 1000) / everyMs))

async function beside(open: number): Promise<{ p95: number; refused: number; tokensPerSecond: number }> {
  const flood = new Flood('a', open, 300)
  await sleep(2000)
  const [before, from] = [flood.tokens, performance.now()]
  const { firsts, refused } = await trickle('b', count, everyMs)
  const tokens = flood.tokens - before + ANSWER_TOKENS * firsts.length
  // The last answers end after the last request was sent.
  const tokensPerSecond = (1000 * tokens) / (performance.now() - from)
  await flood.stop()
  await sleep(500)
  return { p95: percentile(firsts, 0.95), refused, tokensPerSecond }
}

async function sharesOfWeights(): Promise<number> {
  const floods = WEIGHTS.map((weight) => new Flood(`w${weight}`, 16, 200))
  await sleep(3000)
  const before = floods.map(({ tokens }) => tokens)
  await sleep(Math.max(seconds, 5) * 1000)
  const tokens = floods.map((flood, i) => flood.tokens - before[i]!)
  await Promise.all(floods.map((flood) => flood.stop()))
  const [total, weights] = [tokens, WEIGHTS].map((values) => values.reduce((sum, value) => sum + value, 0))
  return Math.max(...tokens.map((share, i) => Math.abs(share / total! / (WEIGHTS[i]! / weights!) - 1)))
}

const rows: Row[] = []
try {
  await trickle('b', 8, 50)
  const alone = percentile((await trickle('b', count, everyMs)).firsts, 0.95)
  const crowded = await beside(200)
  const busy = await beside(15)
  const only = new Flood('a', 200, 300)
  await sleep(2000)
  const [before, from] = [only.tokens, performance.now()]
  await sleep(count * everyMs)
  const onlyTokensPerSecond = (1000 * (only.tokens - before)) / (performance.now() - from)
  await only.stop()

  const many = new Flood('a', CROWD, 100)
  await sleep(1000)
  const small = await trickle('b', 25, 100)
  await many.stop()
  rows.push(
    promise('A has 200 requests of 300 tokens open: B’s p95 first token / B alone', crowded.p95 / alone, '×', {
      most: 2.5,
    }),
    promise('A has 15 open: B’s p95 first token / B alone', busy.p95 / alone, '×', { most: 1.8 }),
    promise('A and B together / A alone, tokens', crowded.tokensPerSecond / onlyTokensPerSecond, '×', { least: 0.95 }),
    promise(
      `${CROWD} sequences of A at once: B’s requests refused`,
      small.refused + crowded.refused + busy.refused,
      '',
      {
        most: 0,
      },
    ),
    promise('ten tenants with weights 1 … 10: largest deviation', 100 * (await sharesOfWeights()), '%', { most: 3 }),
    figure('B alone, p95 first token', alone, 'ms'),
    figure('B beside 200 of A, p95 first token', crowded.p95, 'ms'),
  )
} finally {
  await server.kill()
}
report('npm run fairness', rows, options.json)
