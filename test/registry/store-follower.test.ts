import { describe, expect, it } from 'vitest'
import { Catalogue } from '../../src/registry/catalogue.ts'
import { Changes } from '../../src/registry/changes.ts'
import { FilesystemStore } from '../../src/registry/store/filesystem.ts'
import type { RegistryStore, StoreListing } from '../../src/registry/store/port.ts'
import { NotesBook } from '../../src/registry/notes-book.ts'
import { PendingUploads } from '../../src/registry/pending-uploads.ts'
import { StoreFollower } from '../../src/registry/store-follower.ts'
import { TaskBook } from '../../src/registry/task-book.ts'
import { stageFake } from '../support/fake-adapter.ts'
import { temporaryFolder } from '../support/registry-fixture.ts'
import { newTask, newVersion } from './store/conformance.ts'

interface Following {
  readonly store: RegistryStore
  readonly catalogue: Catalogue
  readonly tasks: TaskBook
  readonly uploads: PendingUploads
  readonly changes: Changes
  readonly gone: string[]
  /** What happens while the next listing is on its way. */
  meanwhile: () => Promise<unknown>
  readonly follow: () => Promise<StoreListing | null>
}

async function following(): Promise<Following> {
  const store = await FilesystemStore.open(await temporaryFolder())
  const catalogue = new Catalogue('sha256:0')
  const tasks = new TaskBook(store, catalogue)
  const changes = new Changes()
  const gone: string[] = []
  const silent = { info: () => undefined, warn: () => undefined, error: () => undefined }
  const slow = Object.create(store) as RegistryStore
  const uploads = new PendingUploads({ store, changes, log: silent })
  const setting: Following = {
    store,
    catalogue,
    tasks,
    uploads,
    changes,
    gone,
    meanwhile: () => Promise.resolve(),
    follow: () => follower.follow(),
  }
  slow.list = async () => {
    const listing = await store.list()
    await setting.meanwhile()
    return listing
  }
  const onGone = ({ digest }: { digest: string }): void => void gone.push(digest)
  const parts = { store: slow, catalogue, tasks, uploads, changes, log: silent, onGone }
  const follower = new StoreFollower({ ...parts, notes: new NotesBook(slow), onFollowed: () => undefined })
  return setting
}

describe('StoreFollower', () => {
  it('takes nothing over that a change is still at', async () => {
    const { store, catalogue, changes, gone, follow } = await following()
    const put = await store.putVersion(await stageFake(await store.stage(), { effect: 1 }), newVersion('a', 1))
    await follow()
    await changes.run('adapter a', async () => {
      await store.deleteVersion('a', put.document.digest)
      await follow()
      expect([catalogue.versionCount, gone], 'it is for the deletion to say where the bytes are').toEqual([1, []])
      catalogue.removeVersion('a', put.document.digest)
    })
    await follow()
    expect([catalogue.versionCount, gone]).toEqual([0, []])
  })

  it('does not undo a change that came after its look at the store', async () => {
    const setting = await following()
    const { store, catalogue, tasks, uploads, changes, gone } = setting
    const stamp = { at: '2026-01-01T00:00:00.000Z', by: 'me' }
    const add = async (): Promise<void> => {
      const put = await store.putVersion(await stageFake(await store.stage(), { effect: 1 }), newVersion('a', 1))
      catalogue.add(put.document)
    }
    setting.meanwhile = async () => {
      await changes.run('adapter a', add)
      await changes.run('task t', () => tasks.put('t', {}, stamp, undefined))
      await uploads.begin('b').reject('invalid_adapter: no')
    }
    await setting.follow()
    expect([catalogue.versionCount, tasks.all.size, gone]).toEqual([1, 1, []])
    expect(uploads.hasRejected('b')).toBe(true)
    setting.meanwhile = async () => {
      const digest = catalogue.get('a')?.versions[0]?.digest ?? ''
      await changes.run('adapter a', async () => {
        await store.deleteVersion('a', digest)
        catalogue.removeVersion('a', digest)
      })
      await changes.run('task t', () => tasks.delete('t'))
      await uploads.forget('b')
    }
    await setting.follow()
    expect([catalogue.versionCount, tasks.all.size, uploads.hasRejected('b')]).toEqual([0, 0, false])
    setting.meanwhile = () => Promise.resolve()
    await setting.follow()
    expect([catalogue.versionCount, tasks.all.size]).toEqual([0, 0])
  })

  it('takes over what others did, and tells what is gone', async () => {
    const { store, catalogue, tasks, uploads, gone, follow } = await following()
    const { document } = await store.putVersion(await stageFake(await store.stage(), { effect: 1 }), newVersion('a', 1))
    await store.putTask(newTask('t', 1), null)
    await store.addRejection({ adapter: 'b', reason: 'no', source: 'upload', createdAt: '2026-01-01T00:00:00.000Z' })
    await follow()
    expect(uploads.records()).toMatchObject([{ adapter: 'b', state: 'rejected', reason: 'no' }])
    expect([catalogue.versionCount, tasks.all.size]).toEqual([1, 1])
    await store.deleteVersion('a', document.digest)
    await store.deleteTask('t')
    await follow()
    expect([catalogue.versionCount, tasks.all.size, gone]).toEqual([0, 0, [document.digest]])
  })
})
