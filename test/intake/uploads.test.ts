import { existsSync } from 'node:fs'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { FakeHost } from '../support/fake-host.ts'
import { dropFake, fakeDigest, fakeFile, readFakeAdapter, stageFake } from '../support/fake-adapter.ts'
import type { ReadAdapter } from '../../src/adapters/read.ts'
import { blobFolders, codeOf, filesOf, messageOf, openRooms, upload, ME } from '../support/rooms.ts'

describe('uploads', () => {
  it('makes a version of the files, with what was found in them', async () => {
    const { rooms, host } = await openRooms()
    const record = await upload(rooms, 'acme/a', { effect: 0.5, bytes: 120 })
    expect(record).toMatchObject({
      adapter: 'acme/a',
      version: 1,
      digest: fakeDigest({ effect: 0.5, bytes: 120 }),
      state: 'ready',
      reason: null,
      source: 'upload',
      format: 'peft',
      method: 'lora',
      bytes: 120,
      probe: { maxDifference: 0.5 },
    })
    expect(rooms.catalogue.getAdapter('acme/a', 'acme').versions).toEqual([record])
    expect(await rooms.intake.proofOf(record.adapter, record.version)).toEqual({
      parameters: 2,
      sites: [{ site: 'layers.0.q_proj', norm: 0 }],
      merged: { deviation: null, tolerance: null, reason: 'this process has no reference' },
    })
    expect(host.held.has(record.digest)).toBe(true)
    rooms.checkIntegrity()
  })

  it('refuses what names another base model, where names are checked', async () => {
    const reader = async (dir: string): Promise<ReadAdapter> => {
      const found = await readFakeAdapter(dir)
      return { ...found, description: { ...found.description, baseModel: 'org/Mistral-7B' } }
    }
    const strict = await openRooms({ reader, baseNames: ['llama'] })
    expect(await codeOf(() => upload(strict.rooms, 'a', { effect: 1 }))).toBe('base_mismatch')
    const fitting = await openRooms({ reader, baseNames: ['llama', 'mistral-7b-awq'] })
    expect((await upload(fitting.rooms, 'a', { effect: 1 })).state).toBe('ready')
  })

  it('serves everything after a restart, reading ahead what tasks route to and nothing else', async () => {
    const first = await openRooms()
    await upload(first.rooms, 'a', { effect: 1 })
    const second = await upload(first.rooms, 'a', { effect: 2 })
    await first.rooms.changes.putTask('t', { routes: [{ adapter: 'a' }], prompt: '{input}!' }, ME)
    await first.rooms.close()
    let reads = 0
    let openGate = (): void => undefined
    const gate = new Promise<void>((resolve) => (openGate = resolve))
    const again = await openRooms({
      storeDir: first.storeDir,
      reader: async (dir) => {
        reads++
        await gate
        return readFakeAdapter(dir)
      },
    })
    expect(again.rooms.catalogue.getAdapter('a', 'x').versions.map(({ version }) => version)).toEqual([1, 2])
    const resolution = again.rooms.catalogue.resolve({ task: 't' }, 'x')
    expect(resolution.task?.prompt).toBe('{input}!')
    expect(resolution.adapters[0]?.digest).toBe(second.digest)
    const acquired = again.rooms.residency.acquire(resolution)
    openGate()
    const lease = await acquired
    expect([lease.tiers.get(second.digest), again.host.held.has(second.digest), reads]).toEqual(['cold', true, 1])
    expect(lease.loadMs).toBeGreaterThan(0)
    lease.release()
    const warm = await again.rooms.residency.acquire(resolution)
    expect([warm.tiers.get(second.digest), warm.loadMs]).toEqual(['hot', 0])
    warm.release()
    const other = await again.rooms.residency.acquire(again.rooms.catalogue.resolve({ model: 'a@v1' }, 'x'))
    expect([other.tiers.values().next().value, reads]).toEqual(['cold', 2])
    other.release()
  })

  it('gives the same bytes the same version', async () => {
    const { rooms, storeDir } = await openRooms()
    const first = await upload(rooms, 'a', { effect: 1 })
    const staging = await stageFake(await rooms.intake.stage(), { effect: 1 })
    const second = await rooms.intake.add('a', staging, { source: 'upload', by: 'x' })
    expect(second).toEqual({ record: first, created: false })
    expect((await upload(rooms, 'b', { effect: 1 })).version).toBe(1)
    expect(await readdir(join(storeDir, '.staging'))).toEqual([])
  })

  it('makes one version of the same bytes sent many times at once', async () => {
    const { rooms } = await openRooms()
    const records = await Promise.all([1, 2, 3, 4].map(() => upload(rooms, 'a', { effect: 1 })))
    expect(new Set(records.map(({ version }) => version))).toEqual(new Set([1]))
    expect(rooms.stats().versions).toBe(1)
  })

  it.each([
    ['no effect', '{"effect":0,"bytes":100}', 'adapter_has_no_effect'],
    ['not finite', '{"effect":1e300,"bytes":100}', 'invalid_adapter'],
    ['broken', 'garbage', 'invalid_adapter'],
    ['too large for memory', '{"effect":1,"bytes":5000}', 'invalid_request'],
  ])('leaves nothing behind of a refused upload: %s', async (_case, weights, code) => {
    const { rooms, storeDir, host } = await openRooms()
    const staging = await rooms.intake.stage()
    await dropFake(staging.dir, weights)
    const add = (): Promise<unknown> => rooms.intake.add('a', staging, { source: 'upload', by: 'x' })
    expect(await codeOf(add)).toBe(code)
    expect(rooms.catalogue.listAdapters('*')).toEqual([])
    expect(await readdir(join(storeDir, '.staging'))).toEqual([])
    expect([rooms.journal.head, await blobFolders(storeDir)]).toEqual([0, []])
    expect([...host.held.keys()]).toEqual([])
    expect(rooms.stats()).toMatchObject({ refusedUploads: 1, uploads: 0, memory: { bytes: 0 } })
    rooms.checkIntegrity()
  })

  it('refuses names before anything is read', async () => {
    const { rooms, storeDir } = await openRooms()
    await upload(rooms, 'acme/a', { effect: 1 })
    await upload(rooms, 'plain', { effect: 1 })
    for (const [name, code] of [
      ['../evil', 'invalid_request'],
      ['a/../../b', 'invalid_request'],
      ['UPPER', 'invalid_request'],
      ['fake-base', 'invalid_request'],
      ['acme', 'conflict'],
      ['plain/b', 'conflict'],
    ] as const) {
      expect([name, await codeOf(() => upload(rooms, name, { effect: 2 }))]).toEqual([name, code])
    }
    expect(await blobFolders(storeDir)).toHaveLength(2)
    expect(await readdir(join(storeDir, '.staging'))).toEqual([])
  })

  it('does not serve a version that was accepted for another base model', async () => {
    const first = await openRooms()
    await upload(first.rooms, 'a', { effect: 1 })
    await first.rooms.close()
    const other = new FakeHost({ ...first.host.info, fingerprint: 'sha256:other' })
    const { rooms } = await openRooms({ storeDir: first.storeDir, host: other })
    expect(rooms.catalogue.getAdapter('a', 'x').versions[0]).toMatchObject({ state: 'rejected', version: 1 })
    expect(await codeOf(() => rooms.catalogue.resolve({ model: 'a' }, 'x'))).toBe('adapter_not_ready')
    expect(await codeOf(() => upload(rooms, 'a', { effect: 1 }))).toBe('conflict')
    expect((await upload(rooms, 'a', { effect: 2 })).version).toBe(2)
  })
})

describe('altered bytes in the store', () => {
  it('are found when they are loaded, named, and harm nobody else', async () => {
    const first = await openRooms()
    await upload(first.rooms, 'a', { effect: 1 })
    await upload(first.rooms, 'b', { effect: 2 })
    await upload(first.rooms, 'c', { effect: 3 })
    await first.rooms.close()
    const { storeDir } = first
    const altered = filesOf(first.rooms, storeDir, 'a')
    await writeFile(join(altered, 'adapter_model.safetensors'), fakeFile({ effect: 9 }))
    const truncated = filesOf(first.rooms, storeDir, 'b')
    await writeFile(join(truncated, 'adapter_model.safetensors'), fakeFile({ effect: 2 }).slice(0, 10))
    const { rooms } = await openRooms({ storeDir })
    for (const [name, folder] of [
      ['a', altered],
      ['b', truncated],
    ] as const) {
      const acquire = (): Promise<unknown> => rooms.residency.acquire(rooms.catalogue.resolve({ model: name }, 'x'))
      expect(await codeOf(acquire)).toBe('digest_mismatch')
      expect(await messageOf(acquire)).toContain(folder)
    }
    ;(await rooms.residency.acquire(rooms.catalogue.resolve({ model: 'c' }, 'x'))).release()
    rooms.checkIntegrity()
  })

  it('are not read again by every request, and are put right by an upload of the same bytes', async () => {
    const first = await openRooms()
    const { version } = await upload(first.rooms, 'a', { effect: 1 })
    await first.rooms.close()
    const file = join(filesOf(first.rooms, first.storeDir, 'a'), 'adapter_model.safetensors')
    await writeFile(file, fakeFile({ effect: 9 }))
    let reads = 0
    const { rooms } = await openRooms({
      storeDir: first.storeDir,
      reader: (dir) => {
        reads++
        return readFakeAdapter(dir)
      },
    })
    const resolution = rooms.catalogue.resolve({ model: 'a' }, 'x')
    for (let n = 0; n < 5; n++) expect(await codeOf(() => rooms.residency.acquire(resolution))).toBe('digest_mismatch')
    expect(reads).toBe(1)
    expect((await upload(rooms, 'a', { effect: 1 })).version).toBe(version)
    const repaired = join(filesOf(rooms, first.storeDir, 'a'), 'adapter_model.safetensors')
    expect([repaired === file, await readFile(repaired, 'utf8')]).toEqual([false, fakeFile({ effect: 1 })])
    ;(await rooms.residency.acquire(resolution)).release()
  })

  it('that are gone are a clear error', async () => {
    const first = await openRooms()
    await upload(first.rooms, 'a', { effect: 1 })
    await first.rooms.close()
    const { rooms } = await openRooms({ storeDir: first.storeDir })
    const folder = filesOf(first.rooms, first.storeDir, 'a')
    await rm(join(folder, 'adapter_model.safetensors'))
    expect(existsSync(folder)).toBe(true)
    const acquire = (): Promise<unknown> => rooms.residency.acquire(rooms.catalogue.resolve({ model: 'a' }, 'x'))
    expect(await messageOf(acquire)).toContain('adapter_model.safetensors is missing')
  })
})
