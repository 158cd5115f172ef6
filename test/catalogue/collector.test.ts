import { describe, expect, it } from 'vitest'
import { Collector } from '../../src/catalogue/collector.ts'
import type { Version } from '../../src/catalogue/version.ts'
import type { BlobId } from '../../src/store/blobs.ts'
import { blobPrefix, newBlob } from '../../src/store/blobs.ts'
import { FilesystemStore } from '../../src/store/filesystem/filesystem-store.ts'
import { Journal } from '../../src/store/journal.ts'
import { ServerLeases } from '../../src/store/server-leases.ts'
import { BareBook, newVersion } from '../support/catalogue.ts'
import { codeOf, ME, temporaryFolder } from '../support/rooms.ts'
import { QUIET } from '../support/store-folder.ts'

interface OpenCollector {
  readonly collector: Collector
  readonly journal: Journal
  readonly bare: BareBook
  readonly store: FilesystemStore
  readonly used: Set<string>
  readonly leases: ServerLeases
}

async function openCollector(root: string, server: string): Promise<OpenCollector> {
  const store = await FilesystemStore.open(root)
  const bare = new BareBook()
  const { state } = bare
  const journal = await Journal.open({ store, books: [bare.book], server, log: QUIET })
  const used = new Set<string>()
  const isUsed = (digest: string): boolean => used.has(digest)
  const leases: ServerLeases = new ServerLeases(store, { server, host: 'h' }, () =>
    Collector.released({ journal, state, isUsed }),
  )
  await leases.beat()
  const collector = new Collector({ store, journal, state, leases, isUsed, log: QUIET })
  return { collector, journal, bare, store, used, leases }
}

async function put(store: FilesystemStore, id: BlobId): Promise<void> {
  await store.put(`${blobPrefix(id)}file`, Buffer.from('x'))
}

async function add({ store, journal }: OpenCollector, version: Version): Promise<void> {
  await put(store, version)
  await journal.append({ type: 'version.added', data: version }, ME)
}

const deleted = { type: 'version.deleted', data: { adapter: 'a', version: 1, drainSeconds: 0 } }

describe('collection', () => {
  it('removes what was deleted, once neither this nor any other live server uses it', async () => {
    const root = await temporaryFolder()
    const [one, two] = [await openCollector(root, 'one'), await openCollector(root, 'two')]
    const version = newVersion('a', 1)
    await add(one, version)
    await two.journal.follow()
    two.used.add(version.digest)
    await one.journal.append(deleted, ME)
    const blobs = async (): Promise<number> => (await one.store.list('blobs/')).length
    // The other server has not read the record yet.
    await one.collector.sweep()
    expect(await blobs()).toBe(1)
    // It has, and still uses the version.
    await two.journal.follow()
    await two.leases.beat()
    await one.collector.sweep()
    expect(await blobs()).toBe(1)
    expect((await one.collector.look()).waiting).toHaveLength(1)
    two.used.clear()
    await two.leases.beat()
    await one.collector.sweep()
    expect(await blobs()).toBe(0)
    expect(one.bare.state.condemned.size).toBe(0)
  })

  it('condemns what no version names, after a while; whoever is late with it must store it again', async () => {
    const one = await openCollector(await temporaryFolder(), 'one')
    const [orphan, young, named] = [
      newVersion('a', 1),
      { ...newVersion('a', 2), ...newBlob(newVersion('a', 2).digest, Date.now()) },
      newVersion('b', 3),
    ]
    for (const id of [orphan, young]) await put(one.store, id)
    await add(one, named)
    expect(await one.collector.look()).toMatchObject({ orphans: [{ blob: orphan.blob }], removed: [], waiting: [] })
    expect(await one.store.list('blobs/')).toHaveLength(3)
    await one.collector.collect()
    expect(await one.store.list('blobs/')).toHaveLength(2)
    const late = one.journal.append({ type: 'version.added', data: orphan }, ME)
    await expect(late).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('collected') as string,
    })
    await one.journal.append({ type: 'version.added', data: { ...young, adapter: 'a', version: 1 } }, ME)
    expect(await one.collector.collect(0)).toMatchObject({ orphans: [], removed: [] })
    expect(await one.store.list('blobs/')).toHaveLength(2)
  })

  it('touches nothing while a record cannot be read: it may name what looks unused', async () => {
    const root = await temporaryFolder()
    const one = await openCollector(root, 'one')
    await add(one, newVersion('a', 1))
    await one.store.delete('journal/000000000001')
    await one.store.put('journal/000000000001', Buffer.from('{'))
    const two = await openCollector(root, 'two')
    expect(await codeOf(() => two.collector.collect(0))).toBe('storage_error')
    await two.collector.sweep()
    expect(await two.store.list('blobs/')).toHaveLength(1)
  })
})
