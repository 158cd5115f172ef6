/**
 * A process that changes a store all the time, to be killed: `node --import tsx changing-process.ts STORE WRITER SEED`. It waits for a
 * line on stdin before it opens the store, so that it can be started ahead. Every change is told on stdout as one line of JSON
 * before it begins and after it is acknowledged, written at once: what was told survives the kill.
 */
import { once } from 'node:events'
import { writeSync } from 'node:fs'
import { TroupeError } from '../../src/core/errors.ts'
import { Rooms } from '../../src/app/rooms.ts'
import { readFakeAdapter, stageFake } from './fake-adapter.ts'
import { FakeHost } from './fake-host.ts'
import { openLocation, QUIET } from './store-folder.ts'
import { changesOf } from './store-changes.ts'
import type { Change, Told } from './store-changes.ts'

const CLIENTS = 6
const ME = { by: 'tests' }

const [location, writer, seed] = process.argv.slice(2)
if (location === undefined || writer === undefined || seed === undefined)
  throw new Error('usage: changing-process STORE WRITER SEED')

function tell(told: Told): void {
  writeSync(1, `${JSON.stringify(told)}\n`)
}

async function apply(rooms: Rooms, adapter: string, task: string, change: Change): Promise<Told['result']> {
  switch (change.type) {
    case 'upload': {
      const staging = await stageFake(await rooms.intake.stage(), { effect: change.effect })
      const { record } = await rooms.intake.add(adapter, staging, { source: 'upload', by: 'tests' })
      return { version: record.version, digest: record.digest }
    }
    case 'deleteVersion':
      await rooms.residency.deleteVersion(adapter, change.version, ME)
      return null
    case 'deleteAdapter':
      await rooms.residency.deleteAdapter(adapter, ME)
      return null
    case 'putTask':
      return { routes: (await rooms.changes.putTask(task, { routes: [{ adapter }] }, ME)).task.routes }
    case 'activate':
      return { routes: (await rooms.changes.activate(task, { adapter, version: change.version }, ME)).task.routes }
    case 'rollback':
      return { routes: (await rooms.changes.rollback(task, ME)).task.routes }
    case 'deleteTask':
      await rooms.changes.deleteTask(task, ME)
      return null
  }
}

/** What only this client of this writer changes. */
async function client(rooms: Rooms, index: number): Promise<void> {
  const adapter = `owner-${index % 2}/adapter-${writer}-${index}`
  const task = `owner-${index % 2}/task-${writer}-${index}`
  let id = 0
  const versions = (): number[] => {
    const record = rooms.catalogue.listAdapters('*').find(({ name }) => name === adapter)
    return (record?.versions ?? []).filter(({ state }) => state === 'ready').map(({ version }) => version)
  }
  for (const change of changesOf(Number(seed) * CLIENTS + index, versions)) {
    const told = { client: index, id: id++, adapter, task, change }
    tell({ ...told, phase: 'begun', result: null })
    try {
      tell({ ...told, phase: 'acknowledged', result: await apply(rooms, adapter, task, change) })
    } catch (error) {
      if (!(error instanceof TroupeError) || error.status >= 500) throw error
      tell({ ...told, phase: 'refused', result: null })
    }
  }
}

await once(process.stdin, 'data')
const rooms = await Rooms.open({
  open: await openLocation(location),
  host: new FakeHost(),
  memory: { budgetBytes: 1_000 },
  log: QUIET,
  reader: readFakeAdapter,
})
await Promise.all(Array.from({ length: CLIENTS }, (_, index) => client(rooms, index)))
