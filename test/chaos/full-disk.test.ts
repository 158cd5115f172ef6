import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { TroupeError } from '../../src/core/errors.ts'
import type { Registry } from '../../src/registry/registry.ts'
import { openRegistry, upload } from '../support/registry-fixture.ts'
import { FaultyFiles } from './scenarios/faulty-files.ts'

/** More operations than any change needs. */
const MOST_OPERATIONS = 40

const CHANGES: { name: string; change: (registry: Registry) => Promise<unknown> }[] = [
  { name: 'an upload', change: (registry) => upload(registry, 'new', { effect: 2 }) },
  { name: 'a task', change: (registry) => registry.putTask('new', { routes: [{ adapter: 'old' }] }, 'tests') },
  { name: 'an activation', change: (registry) => registry.activate('task', { adapter: 'old', version: 1 }, 'tests') },
  { name: 'a rollback', change: (registry) => registry.rollback('task', 'tests') },
  { name: 'a deletion', change: (registry) => registry.deleteVersion('spare', 1) },
]

it.each(CHANGES)(
  '$name on a disk that is full at any of its operations happens wholly or not at all',
  async ({ change }) => {
    let failed = 0
    for (let index = 0; index < MOST_OPERATIONS; index++) {
      const { registry, storeDir } = await openRegistry()
      const faulty = new FaultyFiles(storeDir)
      onTestFinished(() => faulty.restore())
      try {
        await upload(registry, 'old', { effect: 1 })
        await upload(registry, 'old', { effect: 3 })
        await upload(registry, 'spare', { effect: 4 })
        await registry.putTask('task', { routes: [{ adapter: 'old', version: 1 }] }, 'tests')
        await registry.activate('task', { adapter: 'old', version: 2 }, 'tests')
        const before = picture(registry)
        faulty.failAt(index)
        const error: unknown = await change(registry).then(
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
        registry.checkIntegrity()
        if (error !== null) {
          expect(error).toBeInstanceOf(TroupeError)
          expect((error as TroupeError).code).toBe('storage_error')
          expect((error as TroupeError).message).toMatch(/ENOSPC/)
          expect(picture(registry)).toEqual(before)
          expect(readdirSync(join(storeDir, '.staging'))).toEqual([])
        }
        const now = picture(registry)
        await registry.scan()
        expect(picture(registry), `memory and store differ after a failure at operation ${index}`).toEqual(now)
        // Room again: the same change goes through, or is already made.
        if (error !== null) await change(registry)
      } finally {
        faulty.restore()
      }
    }
    throw new Error(`a change takes more than ${MOST_OPERATIONS} operations`)
  },
)

/** What clients see. */
function picture(registry: Registry): unknown {
  const adapters = registry.listAdapters('*').map(({ name, versions }) => [name, versions.map(({ digest }) => digest)])
  return { adapters, tasks: registry.listTasks('*').map(({ name, routes, revision }) => ({ name, routes, revision })) }
}
