import { setTimeout as sleep } from 'node:timers/promises'
import type { ErrorBody } from '../../chaos/scenarios/generation.ts'
import { complete, PROMPTS } from '../../chaos/scenarios/generation.ts'
import type { Findings } from '../../chaos/scenarios/scale.ts'
import { Deadline, seededRandom, Verdict } from '../../chaos/scenarios/scale.ts'
import { Client } from '../../support/client.ts'
import type { RunningServer } from '../../support/server.ts'
import { startTestServer } from '../../support/server.ts'
import { expectAtRest, expectNothingLeft } from './at-rest.ts'
import { uploadOne } from './demo.ts'
import { changeAtRandom } from './random-changes.ts'
import type { RandomAdapter } from './random-names.ts'
import { BASE, RANDOM_MODEL, randomAdapters, TASKS } from './random-names.ts'
import { requestAtRandom } from './random-requests.ts'

const REQUESTING = 20
const CHANGING = 3
const CHANGE_PAUSE_MS = 150
const CHECK_MS = 100
/** Room for the largest mix and a little more. */
const BUDGETS = { memoryBytes: 256 * 1024, kvBytes: 2 ** 21 }
/** Longer than clients keep connections whose first request was given up before it was sent: ended by the server, they would end the next request. */
const PATIENCE = { headerSeconds: 60 }
const SETTINGS = { model: RANDOM_MODEL, maxBatch: 8, stepTokens: 32, ...BUDGETS, ...PATIENCE }

/** Refusals that truthfully say that a change was quicker or that others hold all memory. */
const TRUTHFUL = [
  ...['adapter_not_found', 'version_not_found', 'model_not_found', 'task_not_found', 'version_deleted'],
  ...['adapter_in_use', 'adapter_not_ready', 'rollback_empty', 'conflict', 'overloaded'],
]

interface RandomCounts {
  requests: number
  answered: number
  cancelled: number
  mixed: number
  changes: number
  uploads: number
  refused: number
  checks: number
}

/** What the clients of a random load share. */
export interface RandomLoad {
  readonly client: Client
  readonly adapters: readonly RandomAdapter[]
  /** Number of each adapter's last version. */
  readonly newest: Map<string, number>
  readonly counts: RandomCounts
  readonly random: () => number
  /** Takes note of an answer that is an error. */
  readonly refused: (what: string, status: number, error: ErrorBody['error'] | undefined) => void
  /** Takes note of a call without an answer. */
  readonly failed: (what: string, error: unknown) => void
}

export interface RandomScale {
  readonly seconds: number
  readonly seed: number
}

/**
 * Random requests of every kind, a third of them given up, while adapters and tasks change at random. The books of queue, rooms and engine are
 * checked all the time. Afterwards no request may hold anything, and once all adapters are deleted no tier may hold a byte.
 */
export async function runRandom({ seconds, seed }: RandomScale): Promise<Findings> {
  const verdict = new Verdict()
  const running = await startTestServer(SETTINGS)
  const client = new Client(running.url)
  const counts = { requests: 0, answered: 0, cancelled: 0, mixed: 0, changes: 0, uploads: 0, refused: 0, checks: 0 }
  const load: RandomLoad = {
    ...{ client, counts, adapters: randomAdapters(), newest: new Map(), random: seededRandom(seed) },
    refused: (what, status, error) => {
      counts.refused++
      const isTruthful = error !== undefined && TRUTHFUL.includes(error.code)
      verdict.expect(isTruthful, `${what}: ${status} ${error?.code} ${error?.message}`)
    },
    failed: (what, error) => verdict.expect(false, `${what}: ${String(error)}`),
  }
  try {
    for (const { name, files } of load.adapters) await uploadOne(client, name, files)
    const before = await complete(client, BASE, PROMPTS[0], 16)
    await loadFor(seconds, load, running, verdict)
    const end = await expectAtRest(client, verdict)
    await check(running, counts, verdict)
    await removeAll(load, verdict)
    await expectNothingLeft(client, running.store, verdict)
    await check(running, counts, verdict)
    const { memory } = running.server.rooms.stats()
    verdict.expect(memory.pinned + memory.waiting === 0, `${memory.pinned} versions pinned, ${memory.waiting} waiting`)
    const after = await complete(client, BASE, PROMPTS[0], 16)
    verdict.expect(after.text === before.text, `the base answers "${after.text}", before the load "${before.text}"`)
    const evictions = end.get('troupe_tier_evictions_total{tier="memory"}') ?? NaN
    return { violations: verdict.violations, figures: { ...counts, evictions } }
  } finally {
    await running.close()
  }
}

async function loadFor(seconds: number, load: RandomLoad, running: RunningServer, verdict: Verdict): Promise<void> {
  const deadline = new Deadline(seconds)
  const repeat = async (job: () => Promise<void>): Promise<void> => {
    while (!deadline.isOver) await job()
  }
  const requesting = Array.from({ length: REQUESTING }, () =>
    repeat(async () => {
      load.counts.requests++
      await requestAtRandom(load)
    }),
  )
  const changing = Array.from({ length: CHANGING }, () =>
    repeat(async () => {
      await changeAtRandom(load)
      await sleep(2 * CHANGE_PAUSE_MS * load.random())
    }),
  )
  const checking = repeat(async () => {
    await check(running, load.counts, verdict)
    await sleep(CHECK_MS)
  })
  await Promise.all([...requesting, ...changing, checking])
}

async function check({ server }: RunningServer, counts: RandomCounts, verdict: Verdict): Promise<void> {
  try {
    await server.checkIntegrity()
    counts.checks++
  } catch (error) {
    verdict.expect(false, String(error))
  }
}

/** Deletes tasks, then adapters; those that are there are deleted at once, as nobody uses them. */
async function removeAll({ client, adapters }: RandomLoad, verdict: Verdict): Promise<void> {
  const paths = [...TASKS.map((task) => `tasks/${task}`), ...adapters.map(({ name }) => `adapters/${name}`)]
  for (const path of paths) {
    const { status, body } = await client.delete(`/v1/${path}`)
    verdict.expect([204, 404].includes(status), `deleting ${path} at rest: ${status} ${JSON.stringify(body)}`)
  }
}
