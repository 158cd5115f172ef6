import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { TaskRecord } from '../../../src/registry/records.ts'
import type { NewVersion, RegistryStore } from '../../../src/registry/store/port.ts'
import { fakeDigest, fakeFile, stageFake } from '../../support/fake-adapter.ts'
import { codeOf } from '../../support/registry-fixture.ts'

export function newVersion(adapter: string, effect: number): NewVersion {
  return {
    adapter,
    digest: fakeDigest({ effect }),
    createdAt: '2026-01-02T03:04:05.000Z',
    createdBy: 'tests',
    source: 'upload',
    format: 'peft',
    method: 'lora',
    rank: 8,
    sites: ['layers.0.q_proj'],
    virtualTokens: 0,
    parameters: 128,
    bytes: 512,
    deviceBytes: 640,
    probe: { maxDifference: 0.5, kl: 0.01 },
    base: { name: 'base', fingerprint: 'sha256:0' },
  }
}

export function newTask(name: string, revision: number): TaskRecord {
  return {
    name,
    description: 'd',
    routes: [{ adapter: 'a', version: 1, weight: 1 }],
    shadow: { adapter: 'a', version: 2, sample: 0.5 },
    pinned: true,
    prompt: 'Q: {input}\nA:',
    system: null,
    defaults: { max_tokens: 5, stop: ['\n'] },
    history: [{ revision: 1, at: '2026-01-01T00:00:00.000Z', by: 'x', routes: [] }],
    revision,
    createdAt: '2026-01-01T00:00:00.000Z',
    updatedAt: '2026-01-01T00:00:00.000Z',
  }
}

/**
 * What every store must do.
 * @param open opens the same store again each time it is called in a test
 */
export function describeStore(name: string, start: () => Promise<() => Promise<RegistryStore>>): void {
  const put = async (
    store: RegistryStore,
    adapter: string,
    effect: number,
  ): ReturnType<RegistryStore['putVersion']> => {
    return store.putVersion(await stageFake(await store.stage(), { effect }), newVersion(adapter, effect))
  }

  describe(`store: ${name}`, () => {
    it('keeps versions, numbered in order, for whoever opens it next', async () => {
      const open = await start()
      const store = await open()
      const first = await put(store, 'acme/a', 1)
      const second = await put(store, 'acme/a', 2)
      expect([first.document.version, second.document.version]).toEqual([1, 2])
      const again = await open()
      const listing = await again.list()
      expect([...listing.adapters.keys()]).toEqual(['acme/a'])
      expect(listing.adapters.get('acme/a')).toEqual([first.document, second.document])
      const weights = join(again.versionFolder('acme/a', second.document.digest), 'adapter_model.safetensors')
      expect(await readFile(weights, 'utf8')).toBe(fakeFile({ effect: 2 }))
    })

    it('stores the same digest once', async () => {
      const store = await (await start())()
      const first = await put(store, 'a', 1)
      const second = await put(store, 'a', 1)
      expect(second).toEqual({ document: first.document, created: false })
      const other = await put(store, 'b', 1)
      expect(other.created).toBe(true)
    })

    it('never gives a number twice, even after deletion and restart', async () => {
      const open = await start()
      const store = await open()
      await put(store, 'a', 1)
      const second = await put(store, 'a', 2)
      await (await store.deleteVersion('a', second.document.digest)).remove()
      expect((await put(await open(), 'a', 3)).document.version).toBe(3)
      await (await store.deleteAdapter('a')).remove()
      expect((await put(await open(), 'a', 4)).document.version).toBe(4)
    })

    it('keeps notes by compare-and-swap, as long as there is an adapter', async () => {
      const open = await start()
      const store = await open()
      const notes = { pinned: true, description: 'd', labels: { a: 'b' }, versions: {}, revision: 1 }
      expect(await codeOf(() => store.putNotes('a', notes, 0))).toBe('adapter_not_found')
      const { document } = await put(store, 'a', 1)
      expect(await store.getNotes('a')).toBeNull()
      await store.putNotes('a', notes, 0)
      expect(await codeOf(() => store.putNotes('a', notes, 0))).toBe('conflict')
      const again = await open()
      expect(await again.getNotes('a')).toEqual(notes)
      const listed = (await again.list()).notes
      expect([...listed]).toEqual([['a', notes]])
      expect((await again.list()).notes.get('a')).toBe(listed.get('a'))
      const outcomes = await Promise.all(
        [store, again].map((one) => codeOf(() => one.putNotes('a', { ...notes, revision: 2 }, 1))),
      )
      expect(outcomes.sort()).toEqual(['conflict', 'none'])
      await (await store.deleteVersion('a', document.digest)).remove()
      expect(await again.getNotes('a')).toBeNull()
    })

    it('remembers refused uploads, the newest hundred, until their adapter has none', async () => {
      const open = await start()
      const store = await open()
      const refused = (adapter: string, reason: string) => {
        const notes = { description: 'd', labels: { a: 'b' } }
        return { adapter, reason, createdAt: '2026-01-02T03:04:05.000Z', source: 'merge' as const, ...notes }
      }
      expect((await store.list()).rejections).toEqual([])
      await store.addRejection(refused('acme/a', 'first'))
      await (await open()).addRejection(refused('b', 'second'))
      expect((await store.list()).rejections).toEqual([refused('acme/a', 'first'), refused('b', 'second')])
      await store.clearRejections('acme/a')
      expect((await (await open()).list()).rejections).toEqual([refused('b', 'second')])
      for (let n = 0; n < 100; n++) await store.addRejection(refused('c', `${n}`))
      const { rejections, damaged } = await store.list()
      expect([rejections.length, rejections[0]?.reason, damaged]).toEqual([100, '0', []])
    })

    it('gives different numbers to writers at the same time', async () => {
      const open = await start()
      const stores = [await open(), await open()]
      const puts = await Promise.all([1, 2, 3, 4, 5, 6].map((n) => put(stores[n % 2] as RegistryStore, 'a', n)))
      expect(puts.map(({ document }) => document.version).sort()).toEqual([1, 2, 3, 4, 5, 6])
    })

    it('keeps deleted bytes readable until they are removed', async () => {
      const store = await (await start())()
      const { document } = await put(store, 'a', 1)
      const trashed = await store.deleteVersion('a', document.digest)
      expect((await store.list()).adapters.size).toBe(0)
      const folder = trashed.folderOf(document.digest)
      expect(await readFile(join(folder, 'adapter_model.safetensors'), 'utf8')).toBe(fakeFile({ effect: 1 }))
      await trashed.remove()
      expect(existsSync(folder)).toBe(false)
    })

    it('says what is not there', async () => {
      const store = await (await start())()
      await put(store, 'a', 1)
      expect(await codeOf(() => store.deleteVersion('a', fakeDigest({ effect: 9 })))).toBe('version_not_found')
      expect(await codeOf(() => store.deleteAdapter('b'))).toBe('adapter_not_found')
      expect(await codeOf(() => store.deleteTask('b'))).toBe('task_not_found')
      expect(await store.getTask('b')).toBeNull()
    })

    it('refuses an adapter called like an owner and the other way round', async () => {
      const store = await (await start())()
      await put(store, 'acme/a', 1)
      expect(await codeOf(() => put(store, 'acme', 1))).toBe('conflict')
      await put(store, 'plain', 1)
      expect(await codeOf(() => put(store, 'plain/a', 1))).toBe('conflict')
    })

    it('replaces a task only at the revision the writer saw', async () => {
      const open = await start()
      const store = await open()
      await store.putTask(newTask('acme/t', 1), null)
      expect(await codeOf(() => store.putTask(newTask('acme/t', 1), null))).toBe('conflict')
      await store.putTask(newTask('acme/t', 2), 1)
      expect(await codeOf(() => store.putTask(newTask('acme/t', 2), 1))).toBe('conflict')
      expect(await (await open()).getTask('acme/t')).toEqual(newTask('acme/t', 2))
      expect((await store.list()).tasks.get('acme/t')).toEqual(newTask('acme/t', 2))
      await store.deleteTask('acme/t')
      expect(await codeOf(() => store.putTask(newTask('acme/t', 3), 2))).toBe('conflict')
      expect((await (await open()).list()).tasks.size).toBe(0)
    })

    it('lets one of many simultaneous writers of a task win', async () => {
      const open = await start()
      const stores = [await open(), await open()]
      await (stores[0] as RegistryStore).putTask(newTask('t', 1), null)
      const writes = [0, 1, 2, 3, 4, 5].map((n) =>
        codeOf(() => (stores[n % 2] as RegistryStore).putTask(newTask('t', 2), 1)),
      )
      expect((await Promise.all(writes)).sort()).toEqual([...Array<string>(5).fill('conflict'), 'none'])
    })

    it('lists unchanged entries as the same objects and shows what another opener did', async () => {
      const open = await start()
      const store = await open()
      await put(store, 'a', 1)
      await store.putTask(newTask('t', 1), null)
      const before = await store.list()
      await put(await open(), 'b', 1)
      const after = await store.list()
      expect(after.adapters.get('a')).toBe(before.adapters.get('a'))
      expect(after.tasks.get('t')).toBe(before.tasks.get('t'))
      expect([...after.adapters.keys()].sort()).toEqual(['a', 'b'])
    })

    it('shows nothing of a staging folder and leaves nothing when it is discarded', async () => {
      const store = await (await start())()
      const staging = await stageFake(await store.stage(), { effect: 1 })
      expect((await store.list()).adapters.size).toBe(0)
      await staging.discard()
      await staging.discard()
      expect(existsSync(staging.dir)).toBe(false)
    })

    it('counts an upload and gives it up when it is too large or its source breaks', async () => {
      const store = await (await start())()
      async function* chunks(): AsyncGenerator<Uint8Array> {
        yield new Uint8Array(10)
        yield new Uint8Array(10)
      }
      const staging = await store.stage()
      expect(await staging.write('adapter_config.json', chunks(), 20)).toBe(20)
      expect(await codeOf(() => staging.write('adapter_model.safetensors', chunks(), 19))).toBe('upload_too_large')
      expect(existsSync(staging.dir)).toBe(false)
      const broken = await store.stage()
      async function* failing(): AsyncGenerator<Uint8Array> {
        yield new Uint8Array(10)
        throw new Error('the client went away')
      }
      await expect(broken.write('adapter_config.json', failing())).rejects.toThrow('the client went away')
      expect(existsSync(broken.dir)).toBe(false)
    })

    it.each([
      '../x.json',
      'a/b.json',
      '.json',
      'version.json',
      'run.sh',
      '',
      '..',
      'x.json\0',
      `${'a'.repeat(200)}.json`,
    ])('refuses the file name %j', async (fileName) => {
      const store = await (await start())()
      const staging = await store.stage()
      expect(await codeOf(async () => staging.write(fileName, (async function* () {})()))).toBe('invalid_request')
    })

    it('refuses names that are no files of an adapter, and a file sent twice', async () => {
      const store = await (await start())()
      const empty = (): AsyncGenerator<Uint8Array> => (async function* () {})()
      const staging = await store.stage()
      expect(await codeOf(async () => staging.write('adapter_model.bin', empty()))).toBe('invalid_request')
      const twice = await store.stage()
      await twice.write('adapter_config.json', empty())
      expect(await codeOf(() => twice.write('adapter_config.json', empty()))).toBe('invalid_request')
    })
  })
}
