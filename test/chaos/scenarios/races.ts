import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import type { Scheduler } from 'fast-check'
import fc from 'fast-check'
import type { ErrorCode } from '../../../src/core/errors.ts'
import { TroupeError } from '../../../src/core/errors.ts'
import { GREEDY } from '../../../src/core/generation.ts'
import { Rooms } from '../../../src/app/rooms.ts'
import { readFakeAdapter, stageFake } from '../../support/fake-adapter.ts'
import { FakeHost } from '../../support/fake-host.ts'
import { ME, openLocation, QUIET, STILL } from '../../support/store-folder.ts'
import { FOLDERS } from '../../support/stores.ts'
import type { Findings, Scale } from './scale.ts'
import { Deadline } from './scale.ts'

const CLIENTS = 50
const STEPS_PER_CLIENT = 3
const REST_SECONDS = 5
const ADAPTER = 'contested'
const TASK = 'contested-task'
/** Two of three different sizes fit. */
const MEMORY_BYTES = 250
const ADAPTERS = [
  { effect: 1, bytes: 80 },
  { effect: 2, bytes: 100 },
  { effect: 3, bytes: 120 },
] as const

type Operation = 'upload' | 'deleteVersion' | 'deleteAdapter' | 'activate' | 'rollback' | 'generate' | 'generateTask'
const OPERATIONS: readonly Operation[] = [
  'upload',
  'deleteVersion',
  'deleteAdapter',
  'activate',
  'rollback',
  'generate',
  'generateTask',
]

/** What one client does, and a number that its choices come from. */
interface Step {
  readonly operation: Operation
  readonly choice: number
}

/** Refusals that say truthfully that another client was quicker. */
const TRUTHFUL: readonly ErrorCode[] = [
  'adapter_not_found',
  'version_not_found',
  'model_not_found',
  'task_not_found',
  'adapter_in_use',
  'adapter_not_ready',
  'rollback_empty',
  'conflict',
]

/** Runs races in orders that fast-check chooses. */
export async function runRaces({ rounds, seconds, stores = FOLDERS }: Scale): Promise<Findings> {
  const step = fc.record({ operation: fc.constantFrom(...OPERATIONS), choice: fc.nat({ max: 1000 }) })
  const count = STEPS_PER_CLIENT * CLIENTS
  const steps = fc.array(step, { minLength: count, maxLength: count })
  const property = fc.asyncProperty(fc.scheduler(), steps, async (scheduler, chosen) => {
    const location = await stores.create()
    try {
      await runRace(scheduler, location, chosen)
    } finally {
      stores.remove(location)
    }
  })
  const limit = { interruptAfterTimeLimit: seconds * 1000, markInterruptAsFailure: false }
  const details = await fc.check(property, { numRuns: rounds, endOnFailure: true, ...limit })
  const { errorInstance, seed, counterexamplePath } = details
  const violation = `${String(errorInstance)} (seed ${seed}, path ${counterexamplePath})`
  const figures = { races: details.numRuns, steps: details.numRuns * count, clients: CLIENTS }
  return { violations: details.failed ? [violation] : [], figures }
}

/**
 * One adapter and one task under many clients at once. The order in which reads of files, runs of the engine and steps of clients
 * take place is the scheduler's; the invariants are checked after every one of them.
 *
 * @throws Error naming the invariant that does not hold
 */
async function runRace(scheduler: Scheduler, location: string, steps: readonly Step[]): Promise<void> {
  const host = new ScheduledHost(scheduler)
  const rooms = await Rooms.open({
    open: await openLocation(location),
    host,
    memory: { budgetBytes: MEMORY_BYTES },
    log: QUIET,
    pace: STILL,
    reader: async (dir) => {
      await scheduler.schedule(Promise.resolve(), 'read')
      return readFakeAdapter(dir)
    },
  })
  try {
    await rooms.changes.putTask(TASK, { routes: [] }, ME)
    const uploads = ADAPTERS.slice(1).map((_, choice) => run(rooms, host, { operation: 'upload', choice }))
    await scheduler.waitFor(Promise.all(uploads))
    const clients = Array.from({ length: CLIENTS }, async (_, client) => {
      for (let index = client; index < steps.length; index += CLIENTS) {
        const step = steps[index]!
        await scheduler.schedule(Promise.resolve(), `client ${client}: ${step.operation}`)
        await tolerate(() => run(rooms, host, step))
      }
    })
    await scheduler.waitFor(Promise.all(clients), async (run) => {
      await run()
      check(rooms, host)
      // Otherwise the scheduler is through with everything before the first file is written.
      await sleep(1)
      check(rooms, host)
    })
    await scheduler.waitFor(comeToRest(rooms))
    await expectAtRest(rooms, host, location)
  } finally {
    // After a failure others may still be at it, and closing waits for them.
    await scheduler.waitFor(rooms.close())
  }
}

/** A host whose runs take as long as the scheduler says. */
class ScheduledHost extends FakeHost {
  readonly #scheduler: Scheduler

  constructor(scheduler: Scheduler) {
    super()
    this.#scheduler = scheduler
  }

  /** Resolves when a place is free. */
  async turn(): Promise<void> {
    await this.#scheduler.schedule(Promise.resolve(), 'wait for a place')
  }

  override async *generate(request: Parameters<FakeHost['generate']>[0]): ReturnType<FakeHost['generate']> {
    await this.#scheduler.schedule(Promise.resolve(), 'begin of a run')
    // Throws when a version of the mix is not held.
    yield* super.generate(request)
    await this.#scheduler.schedule(Promise.resolve(), 'end of a run')
    for (const { digest } of request.mix) {
      if (!this.held.has(digest)) throw new Error(`${digest} was dropped while a request ran with it`)
    }
  }
}

async function run(rooms: Rooms, host: ScheduledHost, { operation, choice }: Step): Promise<void> {
  const adapter = ADAPTERS[choice % ADAPTERS.length]!
  const version = (choice % 5) + 1
  switch (operation) {
    case 'upload': {
      const { record } = await rooms.intake.add(ADAPTER, await stageFake(await rooms.intake.stage(), adapter), {
        source: 'upload',
        by: 'tests',
      })
      if (record.state !== 'ready') throw new Error(`an accepted version is ${record.state}`)
      return
    }
    case 'deleteVersion':
      await rooms.residency.deleteVersion(ADAPTER, version, ME)
      return
    case 'deleteAdapter':
      await rooms.residency.deleteAdapter(ADAPTER, ME)
      return
    case 'activate':
      await rooms.changes.activate(TASK, choice % 2 === 0 ? { adapter: ADAPTER } : { adapter: ADAPTER, version }, ME)
      return
    case 'rollback':
      await rooms.changes.rollback(TASK, ME)
      return
    case 'generate':
      return generate(rooms, host, { model: choice % 2 === 0 ? ADAPTER : `${ADAPTER}@v${version}` })
    case 'generateTask':
      return generate(rooms, host, { task: TASK })
  }
}

/** What the server does with a request: resolve and claim, wait, lease, run, release. */
async function generate(
  rooms: Rooms,
  host: ScheduledHost,
  target: { model: string } | { task: string },
): Promise<void> {
  const resolution = rooms.catalogue.resolve(target, '*')
  const claim = rooms.residency.claim(resolution)
  try {
    await host.turn()
    const lease = await claim.acquire().catch((error: unknown) => {
      throw new Error(`a request that was admitted got no lease: ${String(error)}`, { cause: error })
    })
    const mix = lease.resolution.adapters.map(({ digest, scale }) => ({ digest, scale }))
    const request = { tokens: new Int32Array(3), mix, sampling: GREEDY, maxTokens: 1, stopTokens: [], logprobs: null }
    try {
      for await (const event of host.generate({ ...request, promptLogprobs: false })) void event
    } finally {
      lease.release()
    }
  } finally {
    claim.release()
  }
}

async function tolerate(job: () => Promise<void>): Promise<void> {
  try {
    await job()
  } catch (error) {
    if (!(error instanceof TroupeError && TRUTHFUL.includes(error.code))) throw error
  }
}

/** What holds at every instant. */
function check(rooms: Rooms, host: FakeHost): void {
  rooms.checkIntegrity()
  const { memory } = rooms.stats()
  if (memory.bytes > memory.budgetBytes) throw new Error(`${memory.bytes} bytes in memory of ${memory.budgetBytes}`)
  if (host.held.size !== memory.versions) throw new Error(`${host.held.size} versions held, ${memory.versions} counted`)
  // A task always leads somewhere.
  rooms.catalogue.resolve({ task: TASK }, '*')
}

/** What an activation loads ahead may still be on its way when the last client is done. What never comes to rest is told by `expectAtRest`. */
async function comeToRest(rooms: Rooms): Promise<void> {
  const deadline = new Deadline(REST_SECONDS)
  while (rooms.stats().memory.pinned > 0 && !deadline.isOver) await sleep(1)
}

/** What holds when all clients are done: nothing is kept, and the store says what memory says. */
async function expectAtRest(rooms: Rooms, host: FakeHost, location: string): Promise<void> {
  check(rooms, host)
  const { leases, draining, memory } = rooms.stats()
  if (leases + draining + memory.pinned + memory.waiting > 0) {
    throw new Error(
      `at rest: ${leases} leases, ${draining} draining, ${memory.pinned} pinned, ${memory.waiting} waiting`,
    )
  }
  const known = new Set(
    rooms.catalogue.listAdapters('*').flatMap(({ versions }) => versions.map(({ digest }) => digest)),
  )
  for (const digest of host.held.keys()) if (!known.has(digest)) throw new Error(`${digest} is held though deleted`)
  const again = await Rooms.open({
    open: await openLocation(location),
    host: new FakeHost(),
    memory: { budgetBytes: MEMORY_BYTES },
    log: QUIET,
    reader: readFakeAdapter,
  })
  try {
    const [now, stored] = [picture(rooms), picture(again)]
    if (!isDeepStrictEqual(now, stored)) {
      throw new Error(`memory says ${JSON.stringify(now)}, the store ${JSON.stringify(stored)}`)
    }
  } finally {
    await again.close()
  }
}

function picture(rooms: Rooms): unknown {
  return [rooms.catalogue.listAdapters('*'), rooms.catalogue.listTasks('*')]
}
