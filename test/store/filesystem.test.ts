import { chmod, mkdir, readdir, rename, utimes, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { FilesystemStore } from '../../src/store/filesystem/filesystem-store.ts'
import { checkPutIfAbsent } from '../../src/store/race-check.ts'
import { dropFake } from '../support/fake-adapter.ts'
import { codeOf, messageOf, temporaryFolder } from '../support/rooms.ts'
import { openLocation } from '../support/store-folder.ts'
import { describeStore, withPut } from './conformance.ts'

describeStore('folder', async () => {
  const root = join(await temporaryFolder(), 'store')
  return () => FilesystemStore.open(root)
})

describe('a store that is a folder', () => {
  it('sweeps what a dead process left, and not what others are doing', async () => {
    const root = await temporaryFolder()
    const running = (await FilesystemStore.open(root)).work.newPath()
    await mkdir(running)
    const dead = `${hostname()}~${2 ** 22 + 1}~00000000~000000000000`
    const foreign = 'elsewhere~7~00000000~000000000000'
    const old = 'elsewhere~8~00000000~000000000000'
    for (const name of [dead, foreign, old, 'unknown']) await dropFake(join(root, '.staging', name), 'half')
    const longAgo = new Date(Date.now() - 48 * 3_600_000)
    await utimes(join(root, '.staging', old), longAgo, longAgo)
    await FilesystemStore.open(root)
    expect(await readdir(join(root, '.staging'))).toEqual([foreign, running.split('/').at(-1)].sort())
  })

  it('says that it is gone instead of that nothing is in it, never makes it anew, and is there again when it is back', async () => {
    const root = join(await temporaryFolder(), 'store')
    const store = await FilesystemStore.open(root)
    await store.put('journal/1', Buffer.from('x'))
    await rename(root, `${root}-away`)
    for (const call of [
      () => store.get('journal/1'),
      () => store.list('journal/'),
      () => store.put('blobs/a', Buffer.from('x')),
    ])
      expect(await codeOf(call)).toBe('storage_error')
    await mkdir(root)
    expect(await messageOf(() => store.get('journal/1'))).toContain(`${root} is gone`)
    expect(await readdir(root)).toEqual([])
    await rename(`${root}-away/journal`, join(root, 'journal'))
    expect(await store.get('journal/1')).not.toBeNull()
  })

  it('names what cannot be a store: a file, and a store of an earlier version', async () => {
    const dir = await temporaryFolder()
    await writeFile(join(dir, 'file'), '')
    expect(await messageOf(() => openLocation(join(dir, 'file')))).toContain(join(dir, 'file'))
    await mkdir(join(dir, 'old/adapters'), { recursive: true })
    expect(await messageOf(() => openLocation(join(dir, 'old')))).toContain('troupe store migrate')
    expect(await codeOf(() => openLocation('s3://Not_A_Bucket'))).toBe('invalid_config')
  })

  it.skipIf(process.geteuid?.() === 0)(
    'names a folder that cannot be written (skipped for the superuser, who can)',
    async () => {
      const dir = await temporaryFolder()
      await chmod(dir, 0o555)
      expect(await messageOf(() => openLocation(dir))).toMatch(/EACCES/)
      await chmod(dir, 0o755)
    },
  )

  it('is refused by name when it lets two win', async () => {
    const store = await FilesystemStore.open(await temporaryFolder())
    const loose = withPut(store, async (key, body) => {
      await store.put(key, body)
      return true
    })
    expect(await messageOf(() => checkPutIfAbsent(loose))).toMatch(/lets 9 writers of one key win/)
  })
})
