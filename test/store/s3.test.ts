import { mkdir, mkdtemp, readdir, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { Rooms } from '../../src/app/rooms.ts'
import { newBlob, putBlob } from '../../src/store/blobs.ts'
import { WorkFolder } from '../../src/store/filesystem/work-folder.ts'
import { openStore } from '../../src/store/open.ts'
import { BlobCache } from '../../src/store/s3/blob-cache.ts'
import { S3Store } from '../../src/store/s3/s3-store.ts'
import { fakeDigest, fakeFile, readFakeAdapter } from '../support/fake-adapter.ts'
import { FakeHost } from '../support/fake-host.ts'
import { messageOf, temporaryFolder, upload } from '../support/rooms.ts'
import { BucketServer, noBuckets } from '../support/s3-server.ts'
import { ME, QUIET, STILL } from '../support/store-folder.ts'
import { describeStore } from './conformance.ts'

const reason = noBuckets()
if (reason !== null) console.warn(`the tests of stores in buckets are skipped: ${reason}`)

describe.skipIf(reason !== null)(`a bucket${reason === null ? '' : ` (skipped: ${reason})`}`, () => {
  let server: BucketServer
  beforeAll(async () => {
    server = await BucketServer.start()
  }, 30_000)
  afterAll(() => server.stop())

  describeStore('bucket', async () => {
    const location = await server.newStore()
    return () => Promise.resolve(new S3Store(location))
  })

  it('is named when it does not exist, or nobody answers', async () => {
    expect(await messageOf(() => open('s3://no-such-bucket', '/tmp'))).toMatch(/the bucket does not exist/)
    const { url } = server
    process.env.AWS_ENDPOINT_URL_S3 = 'http://127.0.0.1:9'
    onTestFinished(() => void (process.env.AWS_ENDPOINT_URL_S3 = url))
    expect(await messageOf(() => open('s3://bucket-1', '/tmp'))).toMatch(/cannot read s3:\/\/bucket-1.*ECONNREFUSED/s)
  })

  it('keeps files on the local disk, within its budget, the longest unused go first', async () => {
    const store = new S3Store(await server.newStore())
    const [files, dir] = [await mkdtemp(join(tmpdir(), 'troupe-files-')), await temporaryFolder()]
    await writeFile(join(files, 'weights'), 'x'.repeat(1_000))
    const ids = [1, 2, 3].map((effect) => newBlob(fakeDigest({ effect }), effect))
    for (const id of ids) await putBlob(store, id, files, ['weights'])
    const cache = await BlobCache.open(store, join(dir, 'blobs'), 2_500, await WorkFolder.open(join(dir, 'staging')))
    const [first, second] = [await cache.folder(ids[0]!), await cache.folder(ids[1]!)]
    expect(await cache.folder(ids[0]!)).toBe(first)
    const third = await cache.folder(ids[2]!)
    expect((await readdir(join(dir, 'blobs'))).map((name) => join(dir, 'blobs', name)).sort()).toEqual(
      [first, third].sort(),
    )
    expect(await cache.folder(ids[1]!)).toBe(second)
    expect(await messageOf(() => cache.folder(newBlob(fakeDigest({ effect: 9 }), 9)))).toMatch(/are not in s3:/)
    expect(await readdir(join(dir, 'staging'))).toEqual([])
  })

  it('opens a cache from which another server removes something at that moment', async () => {
    const store = new S3Store(await server.newStore())
    const dir = await temporaryFolder()
    await mkdir(join(dir, 'blobs'))
    // Listed, and not there.
    await symlink(join(dir, 'gone'), join(dir, 'blobs', 'removed'))
    const work = await WorkFolder.open(join(dir, 'staging'))
    await BlobCache.open(store, join(dir, 'blobs'), 1_000, work)
  })

  it('serves several servers: changes are seen, altered copies are fetched again, deletion waits for all of them', async () => {
    const location = await server.newStore()
    const one = await openRooms(location, await temporaryFolder())
    const cacheDir = await temporaryFolder()
    const two = await openRooms(location, cacheDir)
    const { digest } = await upload(one, 'a', { effect: 1 })
    await one.changes.putTask('t', { routes: [{ adapter: 'a' }] }, ME)
    await two.follow()
    const held = await two.residency.acquire(two.catalogue.resolve({ task: 't' }, 'x'))
    expect(held.resolution.adapters[0]?.digest).toBe(digest)

    const [copy] = await copiesIn(cacheDir)
    await writeFile(join(copy!, 'adapter_model.safetensors'), fakeFile({ effect: 9 }))
    const three = await openRooms(location, cacheDir)
    ;(await three.residency.acquire(three.catalogue.resolve({ task: 't' }, 'x'))).release()
    await three.close()

    await one.changes.putTask('t', { routes: [] }, ME)
    expect(await one.residency.deleteAdapter('a', ME)).toEqual({ status: 'deleted' })
    await two.follow()
    const stored = async (): Promise<number> => (await new S3Store(location).list('blobs/')).length
    await one.close()
    expect(await stored()).toBeGreaterThan(0)
    expect(two.catalogue.getAdapter('a', 'x').versions).toMatchObject([{ state: 'draining' }])
    held.release()
    await two.close()
    expect(await stored()).toBe(0)
  })
})

async function open(location: string, cacheDir: string) {
  return openStore({ location, cacheDir, cacheBytes: 2 ** 20 })
}

async function openRooms(location: string, cacheDir: string): Promise<Rooms> {
  const rooms = await Rooms.open({
    open: await open(location, cacheDir),
    host: new FakeHost(),
    memory: { budgetBytes: 1_000 },
    log: QUIET,
    pace: STILL,
    reader: readFakeAdapter,
  })
  onTestFinished(() => rooms.close())
  return rooms
}

/** Folders of the blobs that are cached below a folder. */
async function copiesIn(cacheDir: string): Promise<string[]> {
  const [store = ''] = await readdir(cacheDir)
  const blobs = join(cacheDir, store, 'blobs')
  return (await readdir(blobs)).map((name) => join(blobs, name))
}
