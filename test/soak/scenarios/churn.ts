import { rmSync } from 'node:fs'
import type { Findings } from '../../chaos/scenarios/scale.ts'
import { Deadline, Verdict } from '../../chaos/scenarios/scale.ts'
import { scratchFolder } from '../../support/at-exit.ts'
import { Client } from '../../support/client.ts'
import { scrape } from '../../support/scrape.ts'
import { startServerProcess } from '../../support/server-process.ts'
import { expectAtRest } from './at-rest.ts'
import type { ChurnLoad } from './churn-load.ts'
import { changeInTurn, requestInTurn } from './churn-load.ts'
import { DEMO_MODEL, demoAdapters, populate } from './demo.ts'
import { median, MemoryWatch } from './memory-watch.ts'

const CLIENTS = 8
/** Room for the adapters of all clients, and hardly more: with hundreds of adapters nearly every request loads what it needs. */
const FLAGS = [
  ...['--precision', 'f32', '--threads', '1', '--max-batch', `${CLIENTS}`, '--max-context', '256'],
  ...['--memory-bytes', '8MiB', '--kv-bytes', '64MiB'],
]
const MIB = 2 ** 20
/** Parts of the time: the first of these for warming up, then one window at its end and one at the end of all. */
const WARM_UP = 1 / 6
const WINDOW = 1 / 12

export interface ChurnScale {
  readonly adapters: number
  readonly seconds: number
  readonly perSecond: number
  readonly sampleMs: number
  /** Told now and then how it goes. */
  readonly onProgress?: (line: string) => void
}

/**
 * A server with room for few of its adapters under requests for all of them, some given up, while versions come and go. Its memory is read all the
 * time: after a warm-up it must not grow. In the end nothing may be held.
 */
export async function runChurn(scale: ChurnScale): Promise<Findings> {
  const store = scratchFolder('troupe-churn-')
  const server = await startServerProcess(DEMO_MODEL, store, FLAGS)
  try {
    return await churn(new Client(server.url), scale)
  } finally {
    await server.kill()
    rmSync(store, { recursive: true, force: true })
  }
}

async function churn(
  client: Client,
  { adapters, seconds, perSecond, sampleMs, onProgress }: ChurnScale,
): Promise<Findings> {
  const verdict = new Verdict()
  const counts = { requests: 0, cancelled: 0, late: 0, changes: 0 }
  const templates = demoAdapters()
  const uploaded = await populate(client, templates, adapters)
  onProgress?.(`${adapters} adapters are uploaded`)
  const before = await scrape(client)
  const watch = new MemoryWatch(client, sampleMs, ({ at, resident, heap, external }) => {
    const mebibytes = [resident, heap, external].map((bytes) => (bytes / MIB).toFixed(1))
    onProgress?.(`${at.toFixed(0)} s, ${counts.requests} requests, RSS, heap, external: ${mebibytes.join(', ')} MiB`)
  })
  const load: ChurnLoad = { client, adapters: uploaded, deadline: new Deadline(seconds), verdict, counts }
  const watching = watch.run()
  const pauseMs = (1000 * CLIENTS) / perSecond
  const clients = Array.from({ length: CLIENTS }, (_, seed) => requestInTurn(load, seed, pauseMs))
  await Promise.all([...clients, changeInTurn(load, templates[0]!, CLIENTS)])
  watch.stop()
  await watching

  const after = await expectAtRest(client, verdict)
  const total = (name: string): number => grown(before, after, `troupe_tier_${name}_total{tier="memory"}`)
  verdict.expect(total('evictions') > 0, 'nothing was evicted: there was no churn')
  return {
    violations: verdict.violations,
    figures: {
      ...counts,
      failures: verdict.count,
      loads: total('loads'),
      evictions: total('evictions'),
      ...memoryFigures(watch, seconds),
    },
  }
}

function memoryFigures({ samples }: MemoryWatch, seconds: number): Record<string, number> {
  const last = samples.at(-1)?.at ?? NaN
  const warm = median(samples, seconds * WARM_UP, seconds * (WARM_UP + WINDOW))
  const end = median(samples, last - seconds * WINDOW, last)
  return {
    samples: samples.length,
    residentWarmMiB: warm.resident / MIB,
    residentEndMiB: end.resident / MIB,
    residentMostMiB: Math.max(...samples.map(({ resident }) => resident)) / MIB,
    growthPercent: 100 * (end.resident / warm.resident - 1),
    heapWarmMiB: warm.heap / MIB,
    heapEndMiB: end.heap / MIB,
    externalWarmMiB: warm.external / MIB,
    externalEndMiB: end.external / MIB,
  }
}

function grown(before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>, name: string): number {
  return (after.get(name) ?? NaN) - (before.get(name) ?? 0)
}
