import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Writable } from 'node:stream'
import { Rooms } from '../../../src/app/rooms.ts'
import { endAtExit } from '../../support/at-exit.ts'
import type { Outcome, Seen } from '../../support/contesting-process.ts'
import { ADAPTER, TASK } from '../../support/contesting-process.ts'
import { readFakeAdapter, stageFake } from '../../support/fake-adapter.ts'
import { FakeHost } from '../../support/fake-host.ts'
import { ME, openLocation, QUIET, STILL } from '../../support/store-folder.ts'
import { FOLDERS } from '../../support/stores.ts'
import type { Findings, Scale } from './scale.ts'
import { Verdict } from './scale.ts'

const PROCESS = join(import.meta.dirname, '../../support/contesting-process.ts')
const SERVERS = 8
const VERSIONS = 4
/** Refusals that say truthfully that another server was quicker. */
const TRUTHFUL = ['conflict', 'rollback_empty']

/** Many servers change one task at once: every change happens once or is refused, and all of them have seen the same in the end. */
export async function runContest({ requests, stores = FOLDERS }: Scale): Promise<Findings> {
  const verdict = new Verdict()
  const location = await stores.create()
  const rooms = await openRooms(location)
  try {
    for (let effect = 1; effect <= VERSIONS; effect++) {
      const staging = await stageFake(await rooms.intake.stage(), { effect })
      await rooms.intake.add(ADAPTER, staging, { source: 'upload', ...ME })
    }
    await rooms.changes.putTask(TASK, { routes: [{ adapter: ADAPTER }] }, ME)
    const first = rooms.journal.head
    const each = Math.ceil(requests / SERVERS)
    const servers = Array.from({ length: SERVERS }, (_, number) => new Contestant(location, number, each))
    for (const server of servers) await server.says('ready')
    const from = performance.now()
    const outcomes = (await Promise.all(servers.map((server) => server.contest()))).flat()
    const seconds = (performance.now() - from) / 1000
    await rooms.follow()
    const { head } = rooms.journal
    const seen = await Promise.all(servers.map((server) => server.seen(head)))
    for (const key of ['head', 'records', 'picture'] as const) {
      const different = new Set(seen.map((one) => one[key])).size
      verdict.expect(different === 1, `the servers have ${different} different ideas of ${key}`)
    }

    const recorded = new Map<string, number>()
    for (const { type, request } of await rooms.journal.read(first, Infinity)) {
      if (type === 'task.put' && request !== null) recorded.set(request, (recorded.get(request) ?? 0) + 1)
    }
    for (const { request, outcome } of outcomes) {
      const [times, expected] = [recorded.get(request) ?? 0, outcome === 'applied' ? 1 : 0]
      verdict.expect(times === expected, `change ${request}, ${outcome}, is recorded ${times} times`)
      verdict.expect(outcome === 'applied' || TRUTHFUL.includes(outcome), `change ${request} was refused: ${outcome}`)
    }
    const applied = outcomes.filter(({ outcome }) => outcome === 'applied').length
    const { revision } = rooms.catalogue.getTask(TASK, '*')
    verdict.expect(revision === 1 + applied, `${applied} changes led to revision ${revision}`)
    for (const { key, message } of rooms.journal.unusable) verdict.expect(false, `${key}: ${message}`)
    const conflicts = outcomes.filter(({ outcome }) => outcome === 'conflict').length
    const figures = {
      servers: SERVERS,
      changes: outcomes.length,
      applied,
      conflicts,
      perSecond: outcomes.length / seconds,
    }
    return { violations: verdict.violations, figures }
  } finally {
    await rooms.close()
    stores.remove(location)
  }
}

async function openRooms(location: string): Promise<Rooms> {
  const memory = { budgetBytes: 1_000 }
  const open = await openLocation(location)
  return Rooms.open({ open, host: new FakeHost(), memory, log: QUIET, reader: readFakeAdapter, pace: STILL })
}

/** One of the servers. */
class Contestant {
  readonly #lines: AsyncIterator<string, undefined>
  readonly #stdin: Writable

  constructor(location: string, number: number, changes: number) {
    const args = ['--import', 'tsx', PROCESS, location, String(number), String(changes)]
    const child = endAtExit(spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] }))
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    this.#stdin = child.stdin
  }

  async says(word: string): Promise<void> {
    const said = await this.#next()
    if (said !== word) throw new Error(`a server said ${JSON.stringify(said)} instead of ${word}`)
  }

  async contest(): Promise<Outcome[]> {
    this.#stdin.write('go\n')
    const outcomes: Outcome[] = []
    for (;;) {
      const said = await this.#next()
      if (said === 'done') return outcomes
      outcomes.push(said as Outcome)
    }
  }

  /** Its last word: it ends with its input. */
  async seen(head: number): Promise<Seen> {
    this.#stdin.end(`${head}\n`)
    return (await this.#next()) as Seen
  }

  async #next(): Promise<unknown> {
    const { value, done } = await this.#lines.next()
    if (done) throw new Error('a server ended by itself')
    return JSON.parse(value)
  }
}
