import type { ChildProcessByStdio } from 'node:child_process'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { Rooms } from '../../../src/app/rooms.ts'
import { endAtExit, scratchFolder } from '../../support/at-exit.ts'
import { readFakeAdapter } from '../../support/fake-adapter.ts'
import { FakeHost } from '../../support/fake-host.ts'
import { filesOf, openLocation, QUIET, STILL } from '../../support/store-folder.ts'
import type { Told } from '../../support/store-changes.ts'
import type { Known } from './acknowledged.ts'
import { compare, follow } from './acknowledged.ts'
import type { Findings, Scale } from './scale.ts'
import { Deadline, seededRandom, Verdict } from './scale.ts'

const PROCESS = join(import.meta.dirname, '../../support/changing-process.ts')
/** Processes that are started while an earlier one works: starting takes longer than working. */
const AHEAD = 2
const MOST_MS = 250
/** A process on a busy machine gets this long to have had this many changes acknowledged; then it is killed all the same. */
const PATIENCE_MS = 10_000
const MOST_WAITED_FOR = 8
/** This part of the processes is killed as early as while it opens the store. */
const EARLY_SHARE = 0.2

type Child = ChildProcessByStdio<Writable, Readable, Readable>

/** Kills a process that changes a store, at random instants, again and again, and looks at what is left each time. */
export async function runKills({ rounds, seconds }: Scale): Promise<Findings> {
  const verdict = new Verdict()
  const deadline = new Deadline(seconds)
  const random = seededRandom(11)
  const storeDir = scratchFolder('troupe-kill-')
  const known = new Map<number, Known>()
  const figures = { kills: 0, acknowledged: 0, pending: 0, versions: 0, openMs: 0 }
  const started = Array.from({ length: Math.min(AHEAD, rounds) }, (_, seed) => start(storeDir, seed))
  try {
    for (let round = 0; round < rounds && !deadline.isOver; round++) {
      const child = started.shift()!
      if (round + AHEAD < rounds) started.push(start(storeDir, round + AHEAD))
      const told = await workAndDie(child, random() * MOST_MS, random() < EARLY_SHARE)
      figures.kills++
      for (const line of told) {
        const client = knownOf(known, line)
        if (line.phase === 'acknowledged') figures.acknowledged++
        const fault = follow(client, line)
        verdict.expect(fault === null, `kill ${round}: ${fault}`)
      }
      figures.pending += [...known.values()].filter(({ pending }) => pending !== null).length
      const from = performance.now()
      figures.versions = await examine(storeDir, known, (fault) => verdict.expect(false, `kill ${round}: ${fault}`))
      figures.openMs = Math.max(figures.openMs, performance.now() - from)
    }
  } finally {
    for (const child of started) child.kill('SIGKILL')
    rmSync(storeDir, { recursive: true, force: true })
  }
  return { violations: verdict.violations, figures }
}

function start(storeDir: string, seed: number): Child {
  return endAtExit(spawn(process.execPath, ['--import', 'tsx', PROCESS, storeDir, String(seed)], { stdio: 'pipe' }))
}

/** Lets a process work for so long, after its first word or not, kills it, and returns all it told. */
async function workAndDie(child: Child, workMs: number, early: boolean): Promise<Told[]> {
  let output = ''
  let errors = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text))
  const closed = once(child, 'close')
  const firstWord = new Promise((resolve) => child.stdout.once('data', resolve))
  child.stdin.write('go\n')
  if (!early) {
    await Promise.race([firstWord, closed])
    // How far it is when it is killed must not depend on how busy the machine is.
    const wanted = Math.round((workMs / MOST_MS) * MOST_WAITED_FOR)
    const deadline = new Deadline(PATIENCE_MS / 1000)
    while (child.exitCode === null && !deadline.isOver && output.split('"acknowledged"').length <= wanted)
      await sleep(1)
  }
  await sleep(workMs / MOST_WAITED_FOR)
  child.kill('SIGKILL')
  const [code] = (await closed) as [number | null]
  if (code !== null) throw new Error(`the process ended by itself with code ${code}: ${errors}`)
  // The kill may have cut the last line.
  const lines = output.slice(0, output.lastIndexOf('\n') + 1).split('\n')
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as Told)
}

function knownOf(all: Map<number, Known>, { client, adapter, task }: Told): Known {
  let known = all.get(client)
  if (!known) all.set(client, (known = { adapter, task, versions: new Map(), route: null, last: 0, pending: null }))
  return known
}

/** Opens the store as a restart does and compares; then what is in the store is what is known. Returns the number of versions. */
async function examine(
  storeDir: string,
  all: ReadonlyMap<number, Known>,
  onFault: (fault: string) => void,
): Promise<number> {
  const rooms = await Rooms.open({
    open: await openLocation(storeDir),
    host: new FakeHost(),
    memory: { budgetBytes: 1_000 },
    log: QUIET,
    reader: readFakeAdapter,
    pace: STILL,
  })
  try {
    const left = readdirSync(join(storeDir, '.staging')).filter((name) => !name.includes(`~${process.pid}~`))
    if (left.length > 0) onFault(`.staging still has ${left.join(', ')}`)
    const adapters = rooms.catalogue.listAdapters('*')
    const tasks = rooms.catalogue.listTasks('*')
    for (const { name, versions } of adapters) {
      for (const { version, digest, state, reason } of versions) {
        if (state !== 'ready') onFault(`${name}@v${version} shows as ${state}: ${reason}`)
        const folder = filesOf(rooms, storeDir, name, version)
        const read = await readFakeAdapter(folder).catch((error: unknown) => String(error))
        if (typeof read === 'string' || read.weights.digest !== digest) onFault(`${name}@v${version} has other bytes`)
      }
    }
    for (const known of all.values()) {
      const versions = adapters.find(({ name }) => name === known.adapter)?.versions ?? []
      const stored = {
        versions: new Map(versions.map(({ version, digest }) => [version, digest])),
        route: tasks.find(({ name }) => name === known.task)?.routes[0]?.version ?? null,
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
