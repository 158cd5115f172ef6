import { existsSync } from 'node:fs'
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { fakeDigest, fakeFile, dropFake, readFakeAdapter } from '../support/fake-adapter.ts'
import { codeOf, openRegistry, temporaryFolder, upload } from '../support/registry-fixture.ts'

describe('a folder dropped into the store', () => {
  it('becomes the next version while the server runs, and moves to its place', async () => {
    const { registry, storeDir } = await openRegistry({ scanIntervalMs: 20, dropStableMs: 20 })
    await upload(registry, 'acme/a', { effect: 1 })
    const folder = join(storeDir, 'adapters', 'acme', 'a')
    await dropFake(join(folder, 'run-7'), fakeFile({ effect: 2 }))
    await dropFake(folder, fakeFile({ effect: 3 }))
    await vi.waitFor(() => expect(registry.getAdapter('acme/a', '*').versions).toHaveLength(3), 20_000)
    expect(registry.getAdapter('acme/a', '*').versions[1]).toMatchObject({
      version: 2,
      source: 'folder',
      state: 'ready',
    })
    const digests = [1, 2, 3].map((effect) => fakeDigest({ effect }).slice('sha256:'.length))
    await vi.waitFor(async () => expect((await readdir(folder)).sort()).toEqual(digests.sort()), 20_000)
    expect(registry.listTasks('*')).toEqual([])
    ;(await registry.acquire(registry.resolve({ model: 'acme/a@v3' }, 'acme'))).release()
    expect(registry.stats().imports).toBe(2)
  })

  it('may be a trainer’s whole output; its checkpoints are not versions, also where it is no adapter itself', async () => {
    const { registry, storeDir } = await openRegistry()
    const folder = join(storeDir, 'adapters', 'a')
    await dropFake(folder, fakeFile({ effect: 1 }))
    await dropFake(join(folder, 'checkpoint-500'), fakeFile({ effect: 2 }))
    await writeFile(join(folder, 'training_args.bin'), 'a pickle')
    const bare = join(storeDir, 'adapters', 'b')
    await dropFake(join(bare, 'checkpoint-500'), fakeFile({ effect: 3 }))
    await writeFile(join(bare, 'trainer_state.json'), '{}')
    for (let i = 0; i < 4; i++) await registry.scan()
    expect(registry.listAdapters('*').map(({ name, versions }) => [name, versions.length])).toEqual([['a', 1]])
    expect(registry.getAdapter('a', '*').versions[0]).toMatchObject({
      digest: fakeDigest({ effect: 1 }),
      state: 'ready',
    })
    expect((await readdir(folder)).includes('training_args.bin')).toBe(true)
  })

  it('is not taken while its files still change', async () => {
    const { registry, storeDir } = await openRegistry({ dropStableMs: 60 })
    const folder = join(storeDir, 'adapters', 'a')
    await dropFake(folder, fakeFile({ effect: 1 }).slice(0, 5))
    await registry.scan()
    await new Promise((resolve) => setTimeout(resolve, 80))
    await writeFile(join(folder, 'adapter_model.safetensors'), fakeFile({ effect: 1 }))
    await registry.scan()
    expect(registry.listAdapters('*')).toEqual([])
    await new Promise((resolve) => setTimeout(resolve, 80))
    await registry.scan()
    expect(registry.getAdapter('a', 'x').versions).toMatchObject([{ version: 1, state: 'ready' }])
  })

  it('stays where it is when it is refused, with the reason, until its files change', async () => {
    let reads = 0
    const { registry, storeDir, log } = await openRegistry({
      reader: (dir) => {
        reads++
        return readFakeAdapter(dir)
      },
    })
    const folder = join(storeDir, 'adapters', 'a', 'run')
    await mkdir(join(storeDir, 'adapters', 'a'))
    await upload(registry, 'a', { effect: 1 })
    await dropFake(folder, 'garbage')
    reads = 0
    for (let n = 0; n < 4; n++) await registry.scan()
    expect(reads).toBe(1)
    expect(registry.getAdapter('a', 'x').versions).toMatchObject([
      { version: 0, state: 'rejected', reason: expect.stringContaining('the header is broken') as string },
      { version: 1, state: 'ready' },
    ])
    expect((await readdir(folder)).sort()).toEqual(['adapter_config.json', 'adapter_model.safetensors'])
    expect(log.lines.filter((line) => line.includes('rejected'))).toHaveLength(1)
    expect(registry.resolve({ model: 'a' }, 'x').adapters[0]?.version).toBe(1)
    expect(await codeOf(() => registry.resolve({ model: 'a@v0' }, 'x'))).toBe('invalid_request')
    await writeFile(join(folder, 'adapter_model.safetensors'), fakeFile({ effect: 2 }))
    for (let n = 0; n < 2; n++) await registry.scan()
    expect(registry.getAdapter('a', 'x').versions.map(({ version }) => version)).toEqual([1, 2])
    expect(existsSync(folder)).toBe(false)
  })

  it('goes away with its rejection when somebody removes it', async () => {
    const { registry, storeDir } = await openRegistry()
    const folder = join(storeDir, 'adapters', 'a')
    await dropFake(folder, 'garbage')
    for (let n = 0; n < 2; n++) await registry.scan()
    expect(registry.getAdapter('a', 'x').versions).toHaveLength(1)
    await rm(folder, { recursive: true })
    await registry.scan()
    expect(registry.listAdapters('*')).toEqual([])
    await dropFake(folder, 'garbage')
    for (let n = 0; n < 2; n++) await registry.scan()
    expect(await registry.deleteAdapter('a')).toEqual({ status: 'deleted' })
    await registry.scan()
    expect(registry.listAdapters('*')).toEqual([])
  })

  it('with bytes that are known already is cleared away', async () => {
    const { registry, storeDir } = await openRegistry()
    await upload(registry, 'a', { effect: 1 })
    const folder = join(storeDir, 'adapters', 'a', 'again')
    await dropFake(folder, fakeFile({ effect: 1 }))
    for (let n = 0; n < 2; n++) await registry.scan()
    expect([registry.stats().versions, existsSync(folder)]).toEqual([1, false])
  })

  it('is tried again after a passing failure, and not for ever', async () => {
    const { registry, storeDir, host } = await openRegistry()
    await dropFake(join(storeDir, 'adapters', 'a'), fakeFile({ effect: 1 }))
    host.failure = 'the engine is busy'
    for (let n = 0; n < 3; n++) await registry.scan()
    expect(registry.listAdapters('*')).toEqual([])
    host.failure = null
    await registry.scan()
    expect(registry.getAdapter('a', 'x').versions).toMatchObject([{ version: 1, state: 'ready' }])
    await dropFake(join(storeDir, 'adapters', 'b'), fakeFile({ effect: 2 }))
    host.failure = 'the engine is broken'
    for (let n = 0; n < 8; n++) await registry.scan()
    expect(registry.getAdapter('b', 'x').versions).toMatchObject([{ state: 'rejected' }])
  })
})

describe('two processes on one store', () => {
  it('see each other’s versions and deletions', async () => {
    const one = await openRegistry()
    const two = await openRegistry({ storeDir: one.storeDir })
    const { digest } = await upload(one.registry, 'a', { effect: 1 })
    await two.registry.scan()
    const held = await two.registry.acquire(two.registry.resolve({ model: 'a' }, 'x'))
    await one.registry.deleteAdapter('a')
    await two.registry.scan()
    expect(await codeOf(() => two.registry.resolve({ model: 'a' }, 'x'))).toBe('model_not_found')
    expect(two.host.held.has(digest)).toBe(true)
    two.registry.checkIntegrity()
    held.release()
    expect(two.host.held.has(digest)).toBe(false)
    two.registry.checkIntegrity()
  })

  it('number versions without meeting', async () => {
    const one = await openRegistry()
    const two = await openRegistry({ storeDir: one.storeDir })
    const uploads = [1, 2, 3, 4].map((effect) => upload((effect % 2 ? one : two).registry, 'a', { effect }))
    expect((await Promise.all(uploads)).map(({ version }) => version).sort()).toEqual([1, 2, 3, 4])
    await one.registry.scan()
    await two.registry.scan()
    expect(one.registry.getAdapter('a', 'x')).toEqual(two.registry.getAdapter('a', 'x'))
  })
})

describe('a store folder that vanishes', () => {
  it('is reported and does not stop what is in memory; its return is noticed', async () => {
    const { registry, storeDir, log } = await openRegistry()
    await upload(registry, 'a', { effect: 1 })
    await registry.putTask('t', { routes: [{ adapter: 'a' }] }, 'me')
    const away = join(await temporaryFolder(), 'away')
    await rename(storeDir, away)
    for (let n = 0; n < 3; n++) await registry.scan()
    expect(registry.stats().storeError).toContain(storeDir)
    expect(log.lines.filter((line) => line.startsWith('error'))).toHaveLength(1)
    ;(await registry.acquire(registry.resolve({ task: 't' }, 'x'))).release()
    expect(await codeOf(() => upload(registry, 'b', { effect: 2 }))).toBe('storage_error')
    expect(await codeOf(() => registry.activate('t', { adapter: 'a' }, 'me'))).toBe('storage_error')
    await mkdir(storeDir)
    await registry.scan()
    expect(registry.stats()).toMatchObject({ adapters: 1, tasks: 1 })
    await rm(storeDir, { recursive: true })
    await rename(away, storeDir)
    await registry.scan()
    expect(registry.stats().storeError).toBeNull()
    await upload(registry, 'b', { effect: 2 })
    registry.checkIntegrity()
  })

  it('keeps serving a task whose file became unreadable', async () => {
    const { registry, storeDir } = await openRegistry()
    await registry.putTask('t', { description: 'kept' }, 'me')
    await writeFile(join(storeDir, 'tasks', 't.json'), '{"routes": 7}')
    await registry.scan()
    expect(registry.getTask('t', 'x').description).toBe('kept')
    expect(registry.stats().rejected).toBe(1)
  })
})
