import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { dropFake, fakeFile, stageFake } from '../support/fake-adapter.ts'
import { codeOf, openRegistry, upload } from '../support/registry-fixture.ts'

describe('notes', () => {
  it('come with an upload, change later, survive a restart and reach other processes', async () => {
    const { registry, storeDir } = await openRegistry()
    const other = (await openRegistry({ storeDir })).registry
    const staging = await stageFake(await registry.stageUpload(), { effect: 1 })
    const notes = { description: 'first', labels: { stage: 'test' } }
    const { record } = await registry.addVersion('a', staging, { source: 'upload', by: 'me', notes })
    expect(record).toMatchObject(notes)
    expect(await registry.describeVersion('a', 1, { labels: { stage: 'live' } })).toMatchObject({
      description: 'first',
      labels: { stage: 'live' },
      digest: record.digest,
    })
    await registry.describeAdapter('a', { description: 'the adapter' })
    await other.scan()
    expect(other.getAdapter('a', 'x')).toMatchObject({
      description: 'the adapter',
      pinned: false,
      versions: [{ version: 1, description: 'first', labels: { stage: 'live' } }],
    })
    // Both change: neither undoes the other.
    await other.describeAdapter('a', { labels: { team: 'x' } })
    await registry.describeAdapter('a', { pinned: true })
    await other.scan()
    expect(other.getAdapter('a', 'x')).toMatchObject({
      labels: { team: 'x' },
      pinned: true,
      description: 'the adapter',
    })
    const again = (await openRegistry({ storeDir })).registry
    expect(again.getAdapter('a', 'x')).toEqual(other.getAdapter('a', 'x'))
  })

  it.each([
    [{ description: 'x'.repeat(4_097) }],
    [{ labels: { 'a b': 'x' } }],
    [{ labels: { a: 'x'.repeat(257) } }],
    [{ labels: Object.fromEntries(Array.from({ length: 33 }, (_, n) => [`k${n}`, ''])) }],
  ])('that are too much are refused and change nothing', async (notes) => {
    const { registry } = await openRegistry()
    await upload(registry, 'a', { effect: 1 })
    const before = registry.getAdapter('a', 'x')
    expect(await codeOf(() => registry.describeAdapter('a', notes))).toBe('invalid_request')
    expect(await codeOf(() => registry.describeVersion('a', 1, notes))).toBe('invalid_request')
    expect(registry.getAdapter('a', 'x')).toEqual(before)
  })

  it('need something to be about, and go with it', async () => {
    const { registry, storeDir } = await openRegistry()
    await upload(registry, 'a', { effect: 1 })
    expect(await codeOf(() => registry.describeAdapter('b', {}))).toBe('adapter_not_found')
    expect(await codeOf(() => registry.describeVersion('a', 2, {}))).toBe('version_not_found')
    await registry.describeAdapter('a', { description: 'old' })
    await registry.deleteVersion('a', 1)
    expect(await readdir(join(storeDir, 'adapters'))).toEqual([])
    await upload(registry, 'a', { effect: 1 })
    await registry.scan()
    expect(registry.getAdapter('a', 'x').description).toBeUndefined()
  })

  it('that are broken leave the adapter served, and dropped files beside them alone', async () => {
    const { registry, storeDir, log } = await openRegistry()
    await upload(registry, 'a', { effect: 1 })
    await registry.describeAdapter('a', { description: 'kept' })
    await dropFake(join(storeDir, 'adapters', 'a'), fakeFile({ effect: 2 }))
    for (let n = 0; n < 3; n++) await registry.scan()
    expect(registry.getAdapter('a', 'x')).toMatchObject({ description: 'kept', versions: [{}, { version: 2 }] })
    await writeFile(join(storeDir, 'adapters', 'a', '.notes.json'), '{')
    await registry.scan()
    expect(registry.getAdapter('a', 'x')).toMatchObject({ description: 'kept', versions: [{}, { state: 'ready' }] })
    expect(log.lines).toContain('error: unusable entry in the store')
  })
})

describe('uploads on their way', () => {
  it('show their state, and a refused one its reason, without bytes', async () => {
    const { registry, storeDir } = await openRegistry()
    const states = (): [number, string, string | null][] =>
      registry.getAdapter('a', 'x').versions.map(({ version, state, reason }) => [version, state, reason])
    const pending = registry.beginUpload('a', { description: 'd' })
    expect(states()).toEqual([[0, 'uploading', null]])
    pending.validating()
    expect(states()).toEqual([[0, 'validating', null]])
    await pending.reject('invalid_adapter: no')
    expect(states()).toEqual([[0, 'rejected', 'invalid_adapter: no']])
    const again = await openRegistry({ storeDir })
    expect(again.registry.getAdapter('a', 'x').versions).toMatchObject([
      { version: 0, state: 'rejected', reason: 'invalid_adapter: no', source: 'upload', description: 'd' },
    ])
    for (let n = 0; n < 3; n++) await again.registry.scan()
    expect(again.registry.stats()).toMatchObject({ uploads: 0, imports: 0, refusedUploads: 0 })
    expect(await readdir(join(storeDir, 'adapters'))).toEqual([])
    expect(await codeOf(() => registry.resolve({ model: 'a' }, 'x'))).toBe('model_not_found')
    await upload(registry, 'a', { effect: 1 })
    expect(states()).toEqual([[1, 'ready', null]])
    await again.registry.scan()
    expect(again.registry.getAdapter('a', 'x').versions).toMatchObject([{ version: 1, state: 'ready' }])
    for (let n = 0; n < 120; n++) await registry.beginUpload('a').reject(`${n}`)
    expect(states()).toHaveLength(101)
    expect(states()[0]).toEqual([0, 'rejected', '20'])
  })

  it('that were refused go with the adapter, also where there is nothing else', async () => {
    const { registry, storeDir } = await openRegistry()
    await registry.beginUpload('a').reject('invalid_adapter: no')
    expect(await registry.deleteAdapter('a')).toEqual({ status: 'deleted' })
    expect(await codeOf(() => registry.deleteAdapter('a'))).toBe('adapter_not_found')
    await registry.close()
    expect((await openRegistry({ storeDir })).registry.listAdapters('*')).toEqual([])
  })

  it('are answered also where the store cannot remember the refusal', async () => {
    const { registry, storeDir, log } = await openRegistry()
    await mkdir(join(storeDir, '.rejected.json'))
    await registry.beginUpload('a').reject('invalid_adapter: no')
    expect(registry.getAdapter('a', 'x').versions).toMatchObject([{ state: 'rejected' }])
    expect(log.lines.filter((line) => line.startsWith('error: the store could not take note'))).toHaveLength(1)
  })

  it('are forgotten when they end', async () => {
    const { registry } = await openRegistry()
    registry.beginUpload('a').finish()
    expect(await codeOf(() => registry.getAdapter('a', 'x'))).toBe('adapter_not_found')
  })
})

describe('a deleted version', () => {
  it('is known for a while, to those who could see it', async () => {
    const { registry } = await openRegistry()
    await upload(registry, 'acme/a', { effect: 1 })
    const held = await registry.acquire(registry.resolve({ model: 'acme/a' }, 'acme'))
    await registry.deleteVersion('acme/a', 1)
    expect(registry.deletedVersion('acme/a', 1, 'acme')).toBeNull()
    held.release()
    expect(registry.deletedVersion('acme/a', 1, 'acme')).toMatchObject({ version: 1, state: 'deleted' })
    expect(registry.deletedVersion('acme/a', 1, 'zeta')).toBeNull()
    expect(registry.deletedVersion('acme/a', 2, 'acme')).toBeNull()
  })
})
