import { rmSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Settings } from '../../../src/config/schema.ts'
import { messageOf } from '../../../src/core/errors.ts'
import { scratchFolder } from '../../support/at-exit.ts'
import { Client } from '../../support/client.ts'
import { modelDir } from '../../support/fixtures.ts'
import { scrape } from '../../support/scrape.ts'
import { startTestServer } from '../../support/server.ts'
import type { Stores } from '../../support/stores.ts'
import { FOLDERS } from '../../support/stores.ts'
import { ADAPTERS, FAMILY, loraWithAlpha, referenceFiles } from './adapters.ts'
import { complete, PROMPTS, References } from './generation.ts'
import type { Findings, Scale } from './scale.ts'
import { Deadline, pick, quantile, runConcurrently, seededRandom, Verdict } from './scale.ts'

const CONCURRENCY = 16
const MAX_TOKENS = 8
const ALPHAS = [4, 6, 10, 14, 18, 22]
const SCRAPE_MS = 20
const ROOMY = 64 * 2 ** 20

interface Measured {
  readonly requests: number
  readonly perSecond: number
  readonly p99Ms: number
  readonly scrapes: number
  readonly evictions: number
  /** What all adapters need in memory. */
  readonly bytes: number
}

/**
 * The same random requests twice: with room for all adapters, then with a budget that holds half of them. No budget may ever be passed, and every answer must be right.
 */
export async function runPressure({ requests: most, seconds, stores = FOLDERS }: Scale): Promise<Findings> {
  const verdict = new Verdict()
  const roomy = await measure(stores, most, new Deadline(seconds / 2), { memoryBytes: ROOMY }, verdict)
  const { requests } = roomy
  const budgets = { memoryBytes: Math.ceil(roomy.bytes / 2) }
  const tight = await measure(stores, requests, new Deadline(Infinity), budgets, verdict)
  verdict.expect(tight.evictions > 0, 'nothing was evicted: there was no pressure')
  const figures = {
    requests,
    perSecond: tight.perSecond,
    perSecondFitting: roomy.perSecond,
    throughputRatio: tight.perSecond / roomy.perSecond,
    p99Ms: tight.p99Ms,
    p99FittingMs: roomy.p99Ms,
    evictions: tight.evictions,
    scrapes: tight.scrapes,
  }
  return { violations: verdict.violations, figures }
}

async function measure(
  stores: Stores,
  most: number,
  deadline: Deadline,
  budgets: Pick<Settings, 'memoryBytes'>,
  verdict: Verdict,
): Promise<Measured> {
  const [store, cacheDir] = [await stores.create(), scratchFolder('troupe-pressure-')]
  const place = { store, cacheDir }
  const server = await startTestServer({ model: modelDir(FAMILY), maxBatch: CONCURRENCY, ...place, ...budgets })
  const client = new Client(server.url)
  try {
    const versions = new Map<string, string>()
    const references = new References(MAX_TOKENS)
    const files = [
      ...ADAPTERS.map((adapter) => [adapter, referenceFiles(adapter)] as const),
      ...ALPHAS.map((alpha) => [`alpha-${alpha}`, loraWithAlpha(alpha, 'lora-r8')] as const),
    ]
    for (const [name, content] of files) {
      const { status, body } = await client.upload<{ digest: string }>(name, content)
      if (status !== 201) throw new Error(`${name}: ${JSON.stringify(body)}`)
      versions.set(name, body.digest)
      await references.learn(client, name, body.digest)
    }
    const watch = new BudgetWatch(client, verdict)
    const watching = watch.run()
    const latencies: number[] = []
    const random = seededRandom(13)
    const from = performance.now()
    const requests = await runConcurrently(most, CONCURRENCY, deadline, async (index) => {
      const name = pick([...versions.keys()], random())
      const promptIndex = index % PROMPTS.length
      const begun = performance.now()
      try {
        const answer = await complete(client, name, PROMPTS[promptIndex]!, MAX_TOKENS)
        verdict.expect(answer.digests.join() === versions.get(name), `${name} was answered by ${answer.digests.join()}`)
        const fault = references.fault(promptIndex, answer)
        verdict.expect(fault === null, `${name}: ${fault}`)
      } catch (error) {
        verdict.expect(false, `${name}: ${messageOf(error)}`)
      }
      latencies.push(performance.now() - begun)
    })
    const seconds = (performance.now() - from) / 1000
    watch.stop()
    await watching
    const end = await scrape(client)
    const { scrapes } = watch
    const bytes = tierMetric(end, 'bytes')
    const evictions = tierMetric(end, 'evictions_total')
    return { requests, perSecond: requests / seconds, p99Ms: quantile(latencies, 0.99), scrapes, evictions, bytes }
  } finally {
    await server.close()
    stores.remove(store)
    rmSync(cacheDir, { recursive: true, force: true })
  }
}

/** Reads the metrics all the time and compares every tier with its budget. */
class BudgetWatch {
  readonly #client: Client
  readonly #verdict: Verdict
  scrapes = 0
  #stopped = false

  constructor(client: Client, verdict: Verdict) {
    this.#client = client
    this.#verdict = verdict
  }

  async run(): Promise<void> {
    while (!this.#stopped) {
      const metrics = await scrape(this.#client)
      this.scrapes++
      const [bytes, budget] = [tierMetric(metrics, 'bytes'), tierMetric(metrics, 'budget_bytes')]
      this.#verdict.expect(bytes <= budget, `${bytes} bytes in memory of ${budget}`)
      await sleep(SCRAPE_MS)
    }
  }

  stop(): void {
    this.#stopped = true
  }
}

function tierMetric(metrics: ReadonlyMap<string, number>, name: string): number {
  const value = metrics.get(`troupe_tier_${name}{tier="memory"}`)
  if (value === undefined) throw new Error(`there is no metric troupe_tier_${name}`)
  return value
}
