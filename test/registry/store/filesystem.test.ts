import { mkdir, readdir, readFile, rename, stat, utimes, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { FilesystemStore } from '../../../src/registry/store/filesystem.ts'
import { NO_NOTES } from '../../../src/registry/adapter-notes.ts'
import type { RegistryStore, StoreListing } from '../../../src/registry/store/port.ts'
import { renderTask } from '../../../src/registry/task-document.ts'
import { dropFake, fakeFile, stageFake } from '../../support/fake-adapter.ts'
import { codeOf, temporaryFolder } from '../../support/registry-fixture.ts'
import { describeStore, newTask, newVersion } from './conformance.ts'

describeStore('folder', async () => {
  const root = join(await temporaryFolder(), 'store')
  return () => FilesystemStore.open(root)
})

describeStore('folder with a survey', async () => {
  const root = join(await temporaryFolder(), 'store')
  return () => openSurveyed(root)
})

async function openSurveyed(root: string): Promise<FilesystemStore> {
  const store = await FilesystemStore.open(root, 1)
  onTestFinished(() => store.close())
  return store
}

/** Lets time pass, as far as the disk tells: what changed lately is read again in any case. */
async function age(dir: string): Promise<void> {
  const longAgo = new Date(Date.now() - 3_600_000)
  for (const entry of await readdir(dir, { withFileTypes: true })) {
    if (entry.isDirectory()) await age(join(dir, entry.name))
    else await utimes(join(dir, entry.name), longAgo, longAgo)
  }
  await utimes(dir, longAgo, longAgo)
}

async function put(store: RegistryStore, adapter: string, effect: number): Promise<string> {
  const staging = await stageFake(await store.stage(), { effect })
  return (await store.putVersion(staging, newVersion(adapter, effect))).document.digest
}

describe('a store folder', () => {
  it('sweeps what a dead process left, and not what others are doing', async () => {
    const root = await temporaryFolder()
    const running = await (await FilesystemStore.open(root)).stage()
    const dead = `${hostname()}~${2 ** 22 + 1}~00000000~000000000000`
    const foreign = 'elsewhere~7~00000000~000000000000'
    const old = 'elsewhere~8~00000000~000000000000'
    for (const name of [dead, foreign, old, 'unknown']) {
      await dropFake(join(root, '.staging', name), 'half')
      await dropFake(join(root, '.trash', name), 'half')
    }
    const longAgo = new Date(Date.now() - 48 * 3_600_000)
    for (const folder of ['.staging', '.trash']) await utimes(join(root, folder, old), longAgo, longAgo)
    const store = await FilesystemStore.open(root)
    expect(await readdir(join(root, '.staging'))).toEqual([foreign, running.dir.split('/').at(-1)].sort())
    expect(await readdir(join(root, '.trash'))).toEqual([foreign])
    expect((await store.list()).adapters.size).toBe(0)
  })

  it('takes over the lock of a dead process', async () => {
    const root = await temporaryFolder()
    const store = await FilesystemStore.open(root)
    const lock = join(root, '.locks', 'task.t')
    await writeFile(lock, `${hostname()}~${2 ** 22 + 1}~00000000~000000000000`)
    await store.putTask(newTask('t', 1), null)
    expect(await readdir(join(root, '.locks'))).toEqual([])
  })

  it('tells an owner from an adapter', async () => {
    const root = await temporaryFolder()
    const store = await FilesystemStore.open(root)
    await put(store, 'acme/a', 1)
    await dropFake(join(root, 'adapters', 'acme', 'b'), fakeFile({ effect: 2 }))
    await dropFake(join(root, 'adapters', 'new', 'run-1'), fakeFile({ effect: 2 }))
    await dropFake(join(root, 'adapters', 'direct'), fakeFile({ effect: 2 }))
    await put(store, 'known', 1)
    await dropFake(join(root, 'adapters', 'known', 'run-2'), fakeFile({ effect: 2 }))
    const listing = await store.list()
    expect([...listing.adapters.keys()].sort()).toEqual(['acme/a', 'known'])
    const dropped = listing.dropped.map(({ adapter, dir }) => [adapter, dir.slice(root.length + '/adapters/'.length)])
    expect(dropped.sort()).toEqual([
      ['acme/b', 'acme/b'],
      ['direct', 'direct'],
      ['known', 'known/run-2'],
      ['new/run-1', 'new/run-1'],
    ])
  })

  it('does not lose an owner’s adapters to files that lie beside them', async () => {
    const root = await temporaryFolder()
    const store = await FilesystemStore.open(root)
    await put(store, 'acme/a', 1)
    await dropFake(join(root, 'adapters', 'acme'), fakeFile({ effect: 2 }))
    const listing = await store.list()
    expect([...listing.adapters.keys()]).toEqual(['acme/a'])
    expect(listing.damaged[0]?.message).toContain('is an owner')
  })

  it('reports damaged documents by path and serves the rest', async () => {
    const root = await temporaryFolder()
    const store = await FilesystemStore.open(root)
    const digest = await put(store, 'a', 1)
    await put(store, 'b', 1)
    await writeFile(join(store.versionFolder('a', digest), 'version.json'), '{"adapter": "a"')
    await mkdir(join(root, 'adapters', 'b', '0'.repeat(64)))
    await writeFile(join(root, 'tasks', 'bad.json'), '{"routes": [], "prompt": "no slot"}')
    await writeFile(join(root, 'tasks', 'good.json'), '{"routes": []}')
    const listing = await (await FilesystemStore.open(root)).list()
    expect([...listing.adapters.keys()]).toEqual(['b'])
    expect([...listing.tasks.keys()]).toEqual(['good'])
    expect(listing.damaged.map(({ kind, name }) => `${kind} ${name}`).sort()).toEqual([
      'task bad',
      'version a',
      'version b',
    ])
    expect(listing.damaged.find(({ kind }) => kind === 'task')?.message).toContain('{input} exactly once')
  })

  it('puts a version whose document is damaged in place again', async () => {
    const root = await temporaryFolder()
    const store = await FilesystemStore.open(root)
    const digest = await put(store, 'a', 1)
    await writeFile(join(store.versionFolder('a', digest), 'version.json'), '{')
    const staging = await stageFake(await store.stage(), { effect: 1 })
    const { created, document } = await store.putVersion(staging, newVersion('a', 1))
    expect([created, document.version]).toEqual([true, 2])
    expect(await readdir(join(root, '.trash'))).toEqual([])
  })

  it('says so when it is gone, and never makes itself anew', async () => {
    const root = await temporaryFolder()
    const store = await FilesystemStore.open(join(root, 'store'))
    await put(store, 'a', 1)
    const staging = await store.stage()
    await rename(join(root, 'store'), join(root, 'away'))
    expect(await codeOf(() => store.list())).toBe('storage_error')
    expect(await codeOf(() => store.stage())).toBe('storage_error')
    expect(await codeOf(() => staging.write('adapter_config.json', (async function* () {})()))).toBe('storage_error')
    expect(await codeOf(() => store.putTask(newTask('t', 1), null))).toBe('storage_error')
    expect(await codeOf(() => store.deleteAdapter('a'))).toBe('storage_error')
    expect(await readdir(root)).toEqual(['away'])
    await rename(join(root, 'away'), join(root, 'store'))
    expect([...(await store.list()).adapters.keys()]).toEqual(['a'])
  })

  it('clears of dropped files only those that were taken', async () => {
    const root = await temporaryFolder()
    const store = await FilesystemStore.open(root)
    const dir = join(root, 'adapters', 'a', 'run')
    await put(store, 'a', 1)
    await dropFake(dir, fakeFile({ effect: 2 }))
    await writeFile(join(dir, 'training_args.bin'), 'pickle')
    const [folder] = (await store.list()).dropped
    if (!folder) throw new Error('nothing was found')
    await store.clearDropped(folder, ['adapter_config.json', 'adapter_model.safetensors'])
    expect(await readdir(dir)).toEqual(['training_args.bin'])
  })
})

describe('a store folder that a thread looks after', () => {
  async function atRest(): Promise<{ root: string; store: FilesystemStore; digest: string; other: FilesystemStore }> {
    const root = await temporaryFolder()
    const other = await FilesystemStore.open(root)
    const digest = await put(other, 'a', 1)
    await put(other, 'acme/b', 1)
    await other.putNotes('a', { ...NO_NOTES, description: 'one', revision: 1 }, 0)
    await other.putTask(newTask('t', 1), null)
    await mkdir(join(root, 'adapters', 'a', 'run'))
    await age(root)
    const store = await openSurveyed(root)
    const before = await store.list()
    // The first look of the thread is at what it was just told of.
    expect(await store.list()).toBe(before)
    expect(await store.list()).toBe(before)
    return { root, store, digest, other }
  }

  it('lists the same object at rest, and a new one after anything that happens to it', async () => {
    const { root, store, digest, other } = await atRest()
    const happens: [() => Promise<unknown>, (listing: StoreListing) => unknown, unknown][] = [
      [() => put(other, 'a', 2), ({ adapters }) => adapters.get('a')?.length, 2],
      [() => put(other, 'new', 1), ({ adapters }) => [...adapters.keys()].sort(), ['a', 'acme/b', 'new']],
      [() => put(other, 'acme/c', 1), ({ adapters }) => adapters.has('acme/c'), true],
      [() => other.deleteVersion('a', digest), ({ adapters }) => adapters.get('a')?.length, 1],
      [() => other.deleteAdapter('new'), ({ adapters }) => adapters.has('new'), false],
      [() => other.putTask(newTask('t', 2), 1), ({ tasks }) => tasks.get('t')?.revision, 2],
      [() => other.putTask(newTask('acme/t', 1), null), ({ tasks }) => tasks.has('acme/t'), true],
      [() => other.deleteTask('t'), ({ tasks }) => tasks.has('t'), false],
      [
        () => other.putNotes('a', { ...NO_NOTES, description: 'two', revision: 2 }, 1),
        ({ notes }) => notes.get('a')?.description,
        'two',
      ],
      [
        () => replaceIn(join(root, 'adapters/a/.notes.json'), 'two', 'six'),
        ({ notes }) => notes.get('a')?.description,
        'six',
      ],
      [
        () => replaceIn(join(root, 'tasks/acme/t.json'), '"d"', '"e"'),
        ({ tasks }) => tasks.get('acme/t')?.description,
        'e',
      ],
      [
        () =>
          other.addRejection({ adapter: 'a', createdAt: '2026-01-01T00:00:00.000Z', reason: 'r', source: 'upload' }),
        ({ rejections }) => rejections.length,
        1,
      ],
      [() => dropFake(join(root, 'adapters/a/run'), 'half'), ({ dropped }) => dropped.length, 1],
    ]
    for (const [change, look, expected] of happens) {
      await age(root)
      await store.list()
      await change()
      expect(look(await store.list()), change.toString()).toEqual(expected)
    }
  })

  it('is read again as long as a change may not show in its times', async () => {
    const { root, store } = await atRest()
    const folder = join(root, 'adapters', 'a')
    await mkdir(join(folder, 'later'))
    await store.list()
    const { mtime } = await stat(folder)
    await rename(
      join(
        folder,
        (await readdir(folder)).find((name) => name.length === 64)!,
      ),
      join(root, 'away'),
    )
    await utimes(folder, mtime, mtime)
    expect((await store.list()).adapters.has('a')).toBe(false)
  })

  it('says so when it is gone, and lists it when it is back', async () => {
    const { root, store } = await atRest()
    await rename(join(root, 'adapters'), join(root, 'away'))
    for (let n = 0; n < 2; n++) expect(await codeOf(() => store.list())).toBe('storage_error')
    await rename(join(root, 'away'), join(root, 'adapters'))
    expect((await store.list()).adapters.size).toBe(2)
  })

  it('keeps what cannot be read, and goes on after its thread ended', async () => {
    const { root, store } = await atRest()
    const task = join(root, 'tasks', 't.json')
    await writeFile(task, 'broken')
    for (let n = 0; n < 2; n++) expect((await store.list()).damaged).toMatchObject([{ kind: 'task', path: task }])
    await store.close()
    await writeFile(task, renderTask(newTask('t', 7)))
    expect((await store.list()).tasks.get('t')?.revision).toBe(7)
  })
})

async function replaceIn(path: string, from: string, to: string): Promise<void> {
  await writeFile(path, (await readFile(path, 'utf8')).replace(from, to))
}
