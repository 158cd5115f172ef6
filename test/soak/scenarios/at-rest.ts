import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Verdict } from '../../chaos/scenarios/scale.ts'
import { Deadline } from '../../chaos/scenarios/scale.ts'
import type { Client } from '../../support/client.ts'
import { scrape } from '../../support/scrape.ts'

type Metrics = ReadonlyMap<string, number>

/** What requests hold, in every part of a server. */
const HELD = [
  'engine_queued',
  'engine_running',
  'engine_kv_tokens',
  'queue_waiting',
  'queue_running',
  'open_requests',
  'leases',
  'draining_versions',
]
/** What is left of adapters that were all deleted. */
const KEPT = ['memory', 'device'].flatMap((tier) => [`tier_bytes{tier="${tier}"}`, `tier_versions{tier="${tier}"}`])
const FOLDERS = ['blobs', '.staging']
const PATIENCE_MS = 30_000

/** Waits until no request holds anything, and takes note of what is held nevertheless. */
export async function expectAtRest(client: Client, verdict: Verdict): Promise<Metrics> {
  return expectZero(client, HELD, 'at rest', verdict)
}

/** The same for the bytes of adapters, in every tier and in the store's folder, once all of them were deleted. */
export async function expectNothingLeft(client: Client, store: string, verdict: Verdict): Promise<void> {
  await expectZero(client, [...HELD, ...KEPT], 'without adapters', verdict)
  const leftovers = (): string[] =>
    FOLDERS.flatMap((folder) => readdirSync(join(store, folder)).map((name) => `${folder}/${name}`))
  // What was deleted last may still be on its way from the disk.
  const patience = new Deadline(PATIENCE_MS / 1000)
  while (leftovers().length > 0 && !patience.isOver) await sleep(50)
  for (const left of leftovers()) verdict.expect(false, `without adapters: the store still has ${left}`)
}

/** Reads the metrics until all of these are 0, or patience is over: then each that is not is a violation. */
async function expectZero(client: Client, names: readonly string[], when: string, verdict: Verdict): Promise<Metrics> {
  const patience = new Deadline(PATIENCE_MS / 1000)
  for (;;) {
    const metrics = await scrape(client)
    const above = names.filter((name) => metrics.get(`troupe_${name}`) !== 0)
    if (above.length === 0 || patience.isOver) {
      for (const name of above) verdict.expect(false, `${when}: ${name} is ${metrics.get(`troupe_${name}`)}`)
      return metrics
    }
    await sleep(50)
  }
}
