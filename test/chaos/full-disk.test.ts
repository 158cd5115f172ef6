import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { TroupeError } from '../../src/core/errors.ts'
import type { Rooms } from '../../src/app/rooms.ts'
import { openRooms, upload, ME } from '../support/rooms.ts'
import { FaultyFiles } from './scenarios/faulty-files.ts'

/** More operations than any change needs. */
const MOST_OPERATIONS = 40

const CHANGES: { name: string; change: (rooms: Rooms) => Promise<unknown> }[] = [
  { name: 'an upload', change: (rooms) => upload(rooms, 'new', { effect: 2 }) },
  { name: 'a task', change: (rooms) => rooms.changes.putTask('new', { routes: [{ adapter: 'old' }] }, ME) },
  { name: 'an activation', change: (rooms) => rooms.changes.activate('task', { adapter: 'old', version: 1 }, ME) },
  { name: 'a rollback', change: (rooms) => rooms.changes.rollback('task', ME) },
  { name: 'a deletion', change: (rooms) => rooms.residency.deleteVersion('spare', 1, ME) },
]

it.each(CHANGES)(
  '$name on a disk that is full at any of its operations happens wholly or not at all',
  async ({ change }) => {
    let failed = 0
    for (let index = 0; index < MOST_OPERATIONS; index++) {
      const { rooms, storeDir } = await openRooms()
      const faulty = new FaultyFiles(storeDir)
      onTestFinished(() => faulty.restore())
      try {
        await upload(rooms, 'old', { effect: 1 })
        await upload(rooms, 'old', { effect: 3 })
        await upload(rooms, 'spare', { effect: 4 })
        await rooms.changes.putTask('task', { routes: [{ adapter: 'old', version: 1 }] }, ME)
        await rooms.changes.activate('task', { adapter: 'old', version: 2 }, ME)
        const before = picture(rooms)
        faulty.failAt(index)
        const error: unknown = await change(rooms).then(
          () => null,
          (reason: unknown) => reason,
        )
        const done = faulty.operations <= index
        faulty.heal()
        if (done) {
          expect(error).toBeNull()
          expect(failed, 'nothing was made to fail').toBeGreaterThan(0)
          return
        }
        failed++
        rooms.checkIntegrity()
        if (error !== null) {
          expect(error).toBeInstanceOf(TroupeError)
          expect((error as TroupeError).code).toBe('storage_error')
          expect((error as TroupeError).message).toMatch(/ENOSPC/)
          expect(picture(rooms)).toEqual(before)
          expect(readdirSync(join(storeDir, '.staging'))).toEqual([])
        }
        const now = picture(rooms)
        await rooms.follow()
        expect(picture(rooms), `memory and store differ after a failure at operation ${index}`).toEqual(now)
        // Room again: the same change goes through, or is already made.
        if (error !== null) await change(rooms)
      } finally {
        faulty.restore()
      }
    }
    throw new Error(`a change takes more than ${MOST_OPERATIONS} operations`)
  },
)

/** What clients see. */
function picture(rooms: Rooms): unknown {
  const adapters = rooms.catalogue
    .listAdapters('*')
    .map(({ name, versions }) => [name, versions.map(({ digest }) => digest)])
  return {
    adapters,
    tasks: rooms.catalogue.listTasks('*').map(({ name, routes, revision }) => ({ name, routes, revision })),
  }
}
