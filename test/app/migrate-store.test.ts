import { mkdir, writeFile } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { migrateStore, swapStores } from '../../src/app/migrate-store.ts'
import { dropFake, fakeDigest, fakeFile } from '../support/fake-adapter.ts'
import { codeOf, messageOf, openRooms, temporaryFolder, upload } from '../support/rooms.ts'
import { FAKE_INFO } from '../support/fake-host.ts'
import { openLocation, QUIET } from '../support/store-folder.ts'

const AT = '2026-01-02T03:04:05.000Z'

async function writeJson(path: string, content: unknown): Promise<void> {
  await mkdir(join(path, '..'), { recursive: true })
  await writeFile(path, JSON.stringify(content))
}

/** A version as an earlier version of the program stored it. */
async function writeOld(root: string, adapter: string, version: number, effect: number): Promise<string> {
  const digest = fakeDigest({ effect })
  const dir = join(root, 'adapters', adapter, digest.slice('sha256:'.length))
  await dropFake(dir, fakeFile({ effect }))
  const { name, fingerprint } = FAKE_INFO
  await writeJson(join(dir, 'version.json'), {
    ...{ adapter, version, digest, createdAt: AT, createdBy: 'acme', source: 'upload', format: 'peft', method: 'lora' },
    ...{ rank: 1, sites: ['layers.0.q_proj'], parameters: 2, bytes: 100, probe: { maxDifference: 1, kl: 0.1 } },
    base: { name, fingerprint },
  })
  return dir
}

async function oldStore(): Promise<string> {
  const root = join(await temporaryFolder(), 'store')
  await writeOld(root, 'a', 2, 2)
  await writeOld(root, 'a', 1, 1)
  await writeOld(root, 'acme/b', 3, 3)
  await writeJson(join(root, 'adapters/a/.notes.json'), {
    ...{ description: 'the adapter', pinned: true, revision: 4 },
    versions: { [fakeDigest({ effect: 2 })]: { labels: { stage: 'live' } } },
  })
  await mkdir(join(root, '.numbers'))
  await writeFile(join(root, '.numbers/a'), '5\n')
  await writeFile(join(root, '.numbers/gone~x'), '7\n')
  await writeJson(join(root, 'tasks/t.json'), { routes: [{ adapter: 'a', version: 1 }] })
  await writeJson(join(root, 'tasks/acme/u.json'), {
    ...{
      name: 'acme/u',
      description: 'd',
      routes: [{ adapter: 'acme/b', version: 3, weight: 2 }],
      prompt: '<{input}>',
    },
    ...{ revision: 9, history: [{ at: AT, by: 'x', routes: [] }], createdAt: AT, updatedAt: AT },
  })
  await writeJson(join(root, '.rejected.json'), {
    rejected: [{ adapter: 'c', reason: 'invalid_adapter: no', createdAt: AT, source: 'merge' }],
  })
  return root
}

describe('the migration of a store of format 1', () => {
  it('takes over versions, tasks, notes, numbers and refusals, with their history', async () => {
    const root = await oldStore()
    expect(await messageOf(() => openRooms({ storeDir: root }))).toContain('troupe store migrate')
    const open = await openLocation(`${root}.new`)
    expect(await migrateStore(root, open, QUIET)).toEqual({ versions: 3, tasks: 2, skipped: [] })
    expect(await codeOf(() => migrateStore(root, open, QUIET))).toBe('invalid_config')
    expect(existsSync(await swapStores(root, `${root}.new`))).toBe(true)

    const { rooms } = await openRooms({ storeDir: root })
    expect(rooms.catalogue.getAdapter('a', 'x')).toMatchObject({
      ...{ description: 'the adapter', pinned: true, createdAt: AT },
      versions: [
        { version: 1, state: 'ready', createdAt: AT },
        { version: 2, labels: { stage: 'live' } },
      ],
    })
    ;(await rooms.residency.acquire(rooms.catalogue.resolve({ task: 'acme/u' }, 'acme'))).release()
    expect(rooms.catalogue.getTask('acme/u', '*')).toMatchObject({ revision: 9, history: [{ revision: 1, by: 'x' }] })
    expect(rooms.catalogue.getTask('t', '*').routes).toEqual([{ adapter: 'a', version: 1, weight: 1 }])
    expect(rooms.catalogue.getAdapter('c', '*').versions).toMatchObject([{ state: 'rejected', source: 'merge' }])
    expect((await upload(rooms, 'a', { effect: 9 })).version).toBe(6)
    expect((await upload(rooms, 'gone/x', { effect: 9 })).version).toBe(8)
  })

  it('names what it cannot read, and takes over the rest', async () => {
    const root = await oldStore()
    await writeFile(join(await writeOld(root, 'd', 1, 4), 'version.json'), '{')
    await writeJson(join(root, 'tasks/broken.json'), { routes: 7 })
    const { skipped, ...done } = await migrateStore(root, await openLocation(`${root}.new`), QUIET)
    expect(done).toEqual({ versions: 3, tasks: 2 })
    expect(skipped.map((what) => what.slice(root.length)).sort()).toEqual([
      expect.stringMatching(/^\/adapters\/d\/.*version\.json/),
      expect.stringMatching(/^\/tasks\/broken\.json: .*routes/),
    ])
  })
})
