import type { ChildProcessByStdio } from 'node:child_process'
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { Rooms } from '../../../src/app/rooms.ts'
import { readBlobFile } from '../../../src/store/blobs.ts'
import { endAtExit } from '../../support/at-exit.ts'
import { readFakeAdapter } from '../../support/fake-adapter.ts'
import { FakeHost } from '../../support/fake-host.ts'
import { openLocation, QUIET, STILL } from '../../support/store-folder.ts'
import type { Told } from '../../support/store-changes.ts'
import { FOLDERS } from '../../support/stores.ts'
import type { Known } from './acknowledged.ts'
import { compare, follow } from './acknowledged.ts'
import type { Findings, Scale } from './scale.ts'
import { Deadline, seededRandom, Verdict } from './scale.ts'

const PROCESS = join(import.meta.dirname, '../../support/changing-process.ts')
/** Processes that change the store at once; of these one is killed at a time. */
const WRITERS = 4
const MOST_MS = 250
/** A process on a busy machine gets this long to have had this many changes acknowledged; then it is killed all the same. */
const PATIENCE_MS = 10_000
const MOST_WAITED_FOR = 8
/** This part of the processes is killed as early as while it opens the store. */
const EARLY_SHARE = 0.2

/**
 * Kills one of several processes that change a store at once, at random instants, again and again, and looks each time at what is left of what the killed one
 * was told.
 */
export async function runKills({ rounds, seconds, stores = FOLDERS }: Scale): Promise<Findings> {
  const verdict = new Verdict()
  const deadline = new Deadline(seconds)
  const random = seededRandom(11)
  const location = await stores.create()
  const figures = { kills: 0, acknowledged: 0, pending: 0, early: 0, versions: 0, openMs: 0 }
  let seed = 0
  const start = (writer: number): Writer => new Writer(location, writer, seed++)
  const known = Array.from({ length: WRITERS }, () => new Map<number, Known>())
  const running = known.map((_, writer) => start(writer))
  // Starting takes longer than working.
  const ahead = known.map((_, writer) => start(writer))
  try {
    for (const writer of running) writer.go()
    let isEarly = false
    for (let round = 0, slot = 0; round < rounds && !deadline.isOver; round++) {
      const victim = running[slot]!
      const workMs = random() * MOST_MS
      if (!isEarly) await victim.work(Math.round((workMs / MOST_MS) * MOST_WAITED_FOR))
      await sleep(workMs / MOST_WAITED_FOR)
      const told = await victim.kill()
      figures.kills++
      if (isEarly) figures.early++
      const mine = known[slot]!
      const onFault = (fault: string): void => verdict.expect(false, `kill ${round}: ${fault}`)
      for (const line of told) {
        if (line.phase === 'acknowledged') figures.acknowledged++
        const fault = follow(knownOf(mine, line), line)
        if (fault !== null) onFault(fault)
      }
      figures.pending += [...mine.values()].filter(({ pending }) => pending !== null).length
      const from = performance.now()
      figures.versions = await examine(location, victim.pid, mine, onFault)
      figures.openMs = Math.max(figures.openMs, performance.now() - from)
      const next = ahead[slot]!
      next.go()
      running[slot] = next
      ahead[slot] = start(slot)
      // The one that has just begun is killed while it still opens the store.
      isEarly = random() < EARLY_SHARE
      if (!isEarly) slot = (slot + 1) % WRITERS
    }
  } finally {
    await Promise.all([...running, ...ahead].map((writer) => writer.end()))
    stores.remove(location)
  }
  return { violations: verdict.violations, figures }
}

/** A process that changes the store without end. */
class Writer {
  readonly pid: number
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>
  readonly #closed: Promise<unknown[]>
  #output = ''
  #errors = ''

  constructor(location: string, writer: number, seed: number) {
    const args = ['--import', 'tsx', PROCESS, location, String(writer), String(seed)]
    this.#child = endAtExit(spawn(process.execPath, args, { stdio: 'pipe' }))
    this.pid = this.#child.pid!
    this.#closed = once(this.#child, 'close')
    this.#child.stdout.setEncoding('utf8').on('data', (text: string) => (this.#output += text))
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => (this.#errors += text))
  }

  go(): void {
    this.#child.stdin.write('go\n')
  }

  /** How far it is when it is killed must not depend on how busy the machine is. */
  async work(acknowledged: number): Promise<void> {
    const patience = new Deadline(PATIENCE_MS / 1000)
    let count = 0
    for (let seen = 0; count <= acknowledged && !patience.isOver && this.#child.exitCode === null;) {
      const found = this.#output.indexOf('"acknowledged"', seen)
      if (found < 0) await sleep(1)
      else {
        seen = found + 1
        count++
      }
    }
  }

  /** @returns all it told; the kill may have cut the last line */
  async kill(): Promise<Told[]> {
    this.#child.kill('SIGKILL')
    const [code] = (await this.#closed) as [number | null]
    if (code !== null) throw new Error(`a process ended by itself with code ${code}: ${this.#errors}`)
    const lines = this.#output.slice(0, this.#output.lastIndexOf('\n') + 1).split('\n')
    return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as Told)
  }

  async end(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#closed
  }
}

function knownOf(all: Map<number, Known>, { client, adapter, task }: Told): Known {
  let known = all.get(client)
  if (!known) all.set(client, (known = { adapter, task, versions: new Map(), route: null, last: 0, pending: null }))
  return known
}

/** Opens the store as a restart does and compares; then what is in the store is what is known. Returns the number of versions. */
async function examine(
  location: string,
  pid: number,
  all: ReadonlyMap<number, Known>,
  onFault: (fault: string) => void,
): Promise<number> {
  const open = await openLocation(location)
  const rooms = await Rooms.open({
    open,
    host: new FakeHost(),
    memory: { budgetBytes: 1_000 },
    log: QUIET,
    reader: readFakeAdapter,
    pace: STILL,
  })
  try {
    const left = readdirSync(open.work.dir).filter((name) => name.includes(`~${pid}~`))
    if (left.length > 0) onFault(`the folder for unfinished work still has ${left.join(', ')}`)
    for (const { key, message } of rooms.journal.unusable) onFault(`${key}: ${message}`)
    for (const known of all.values()) {
      const versions = rooms.catalogue.state.adapters.get(known.adapter)?.versions ?? []
      for (const version of versions) {
        const bytes = await readBlobFile(open.store, version, 'adapter_model.safetensors')
        const digest = bytes && `sha256:${createHash('sha256').update(bytes).digest('hex')}`
        if (digest !== version.digest) onFault(`${known.adapter}@v${version.version} has other bytes: ${digest}`)
      }
      const stored = {
        versions: new Map(versions.map(({ version, digest }) => [version, digest])),
        route: rooms.catalogue.state.tasks.get(known.task)?.routes[0]?.version ?? null,
      }
      for (const fault of compare(known, stored)) onFault(fault)
      known.versions.clear()
      for (const [version, digest] of stored.versions) {
        known.versions.set(version, digest)
        known.last = Math.max(known.last, version)
      }
      known.route = stored.route
      known.pending = null
    }
    rooms.checkIntegrity()
    return rooms.stats().versions
  } finally {
    await rooms.close()
  }
}
