import { existsSync } from 'node:fs'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { FakeHost } from '../support/fake-host.ts'
import { fakeDigest, fakeFile, readFakeAdapter, stageFake } from '../support/fake-adapter.ts'
import type { ReadAdapter } from '../../src/adapters/read.ts'
import { codeOf, messageOf, openRegistry, upload } from '../support/registry-fixture.ts'

async function versionFolder(storeDir: string, name: string, effect: number): Promise<string> {
  return join(storeDir, 'adapters', name, fakeDigest({ effect }).slice('sha256:'.length))
}

describe('uploads', () => {
  it('makes a version of the files, with what was found in them', async () => {
    const { registry, host } = await openRegistry()
    const record = await upload(registry, 'acme/a', { effect: 0.5, bytes: 120 })
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
    expect(registry.getAdapter('acme/a', 'acme').versions).toEqual([record])
    expect(await registry.proofOf(record)).toEqual({
      parameters: 2,
      sites: [{ site: 'layers.0.q_proj', norm: 0 }],
      merged: { deviation: null, tolerance: null, reason: 'this process has no reference' },
    })
    expect(host.held.has(record.digest)).toBe(true)
    registry.checkIntegrity()
  })

  it('refuses what names another base model, where names are checked', async () => {
    const reader = async (dir: string): Promise<ReadAdapter> => {
      const found = await readFakeAdapter(dir)
      return { ...found, description: { ...found.description, baseModel: 'org/Mistral-7B' } }
    }
    const strict = await openRegistry({ reader, baseNames: ['llama'] })
    expect(await codeOf(() => upload(strict.registry, 'a', { effect: 1 }))).toBe('base_mismatch')
    const fitting = await openRegistry({ reader, baseNames: ['llama', 'mistral-7b-awq'] })
    expect(await upload(fitting.registry, 'a', { effect: 1 })).not.toHaveProperty('warnings')
    const variant = await openRegistry({ reader, baseNames: ['mistral-7b-instruct'] })
    const { warnings } = await upload(variant.registry, 'a', { effect: 1 })
    expect(warnings).toEqual([expect.stringContaining('another variant of the same model') as string])
    const again = await openRegistry({ storeDir: variant.storeDir })
    expect(again.registry.getAdapter('a', 'x').versions[0]).toMatchObject({ warnings })
    const staging = await stageFake(await strict.registry.stageUpload(), { effect: 1 })
    const asked = { source: 'upload', by: 'x', allowBaseMismatch: true } as const
    const { record } = await strict.registry.addVersion('a', staging, asked)
    expect(record.warnings).toEqual([expect.stringContaining('as was asked for') as string])
  })

  it('serves everything after a restart, reading ahead what tasks route to and nothing else', async () => {
    const first = await openRegistry()
    await upload(first.registry, 'a', { effect: 1 })
    const second = await upload(first.registry, 'a', { effect: 2 })
    await first.registry.putTask('t', { routes: [{ adapter: 'a' }], prompt: '{input}!' }, 'me')
    await first.registry.close()
    let reads = 0
    let openGate = (): void => undefined
    const gate = new Promise<void>((resolve) => (openGate = resolve))
    const again = await openRegistry({
      storeDir: first.storeDir,
      reader: async (dir) => {
        reads++
        await gate
        return readFakeAdapter(dir)
      },
    })
    expect(again.registry.getAdapter('a', 'x').versions.map(({ version }) => version)).toEqual([1, 2])
    const resolution = again.registry.resolve({ task: 't' }, 'x')
    expect(resolution.task?.prompt).toBe('{input}!')
    expect(resolution.adapters[0]?.digest).toBe(second.digest)
    const acquired = again.registry.acquire(resolution)
    openGate()
    const lease = await acquired
    expect([lease.tiers.get(second.digest), again.host.held.has(second.digest), reads]).toEqual(['cold', true, 1])
    expect(lease.loadMs).toBeGreaterThan(0)
    lease.release()
    const warm = await again.registry.acquire(resolution)
    expect([warm.tiers.get(second.digest), warm.loadMs]).toEqual(['warm', 0])
    warm.release()
    const other = await again.registry.acquire(again.registry.resolve({ model: 'a@v1' }, 'x'))
    expect([other.tiers.values().next().value, reads]).toEqual(['cold', 2])
    other.release()
  })

  it('gives the same bytes the same version', async () => {
    const { registry, storeDir } = await openRegistry()
    const first = await upload(registry, 'a', { effect: 1 })
    const staging = await stageFake(await registry.stageUpload(), { effect: 1 })
    const second = await registry.addVersion('a', staging, { source: 'upload', by: 'x' })
    expect(second).toEqual({ record: first, created: false })
    expect((await upload(registry, 'b', { effect: 1 })).version).toBe(1)
    expect(await readdir(join(storeDir, '.staging'))).toEqual([])
  })

  it('makes one version of the same bytes sent many times at once', async () => {
    const { registry } = await openRegistry()
    const records = await Promise.all([1, 2, 3, 4].map(() => upload(registry, 'a', { effect: 1 })))
    expect(new Set(records.map(({ version }) => version))).toEqual(new Set([1]))
    expect(registry.stats().versions).toBe(1)
  })

  it.each([
    ['no effect', '{"effect":0,"bytes":100}', 'adapter_has_no_effect'],
    ['not finite', '{"effect":1e300,"bytes":100}', 'invalid_adapter'],
    ['broken', 'garbage', 'invalid_adapter'],
    ['too large for memory', '{"effect":1,"bytes":5000}', 'invalid_request'],
  ])('leaves nothing behind of a refused upload: %s', async (_case, weights, code) => {
    const { registry, storeDir, host } = await openRegistry()
    const staging = await registry.stageUpload()
    const content = async function* (): AsyncGenerator<Uint8Array> {
      yield Buffer.from(weights)
    }
    await staging.write('adapter_model.safetensors', content())
    const add = (): Promise<unknown> => registry.addVersion('a', staging, { source: 'upload', by: 'x' })
    expect(await codeOf(add)).toBe(code)
    expect(registry.listAdapters('*')).toEqual([])
    for (const folder of ['.staging', 'adapters', '.numbers', '.locks']) {
      expect(await readdir(join(storeDir, folder))).toEqual([])
    }
    expect([...host.held.keys()]).toEqual([])
    expect(registry.stats()).toMatchObject({ refusedUploads: 1, uploads: 0, memory: { bytes: 0 } })
    registry.checkIntegrity()
  })

  it('refuses names before anything is read', async () => {
    const { registry, storeDir } = await openRegistry()
    await upload(registry, 'acme/a', { effect: 1 })
    await upload(registry, 'plain', { effect: 1 })
    for (const [name, code] of [
      ['../evil', 'invalid_request'],
      ['a/../../b', 'invalid_request'],
      ['UPPER', 'invalid_request'],
      ['fake-base', 'invalid_request'],
      ['acme', 'conflict'],
      ['plain/b', 'conflict'],
    ] as const) {
      expect([name, await codeOf(() => upload(registry, name, { effect: 2 }))]).toEqual([name, code])
    }
    expect((await readdir(join(storeDir, 'adapters'))).sort()).toEqual(['acme', 'plain'])
    expect(await readdir(join(storeDir, '.staging'))).toEqual([])
  })

  it('does not serve a version that was accepted for another base model', async () => {
    const first = await openRegistry()
    await upload(first.registry, 'a', { effect: 1 })
    await first.registry.close()
    const other = new FakeHost({ ...first.host.info, fingerprint: 'sha256:other' })
    const { registry } = await openRegistry({ storeDir: first.storeDir, host: other })
    expect(registry.getAdapter('a', 'x').versions[0]).toMatchObject({ state: 'rejected', version: 1 })
    expect(await codeOf(() => registry.resolve({ model: 'a' }, 'x'))).toBe('adapter_not_ready')
    expect(await codeOf(() => upload(registry, 'a', { effect: 1 }))).toBe('conflict')
    expect((await upload(registry, 'a', { effect: 2 })).version).toBe(2)
  })
})

describe('altered bytes in the store', () => {
  it('are found when they are loaded, named, and harm nobody else', async () => {
    const first = await openRegistry()
    await upload(first.registry, 'a', { effect: 1 })
    await upload(first.registry, 'b', { effect: 2 })
    await upload(first.registry, 'c', { effect: 3 })
    await first.registry.close()
    const { storeDir } = first
    const altered = await versionFolder(storeDir, 'a', 1)
    await writeFile(join(altered, 'adapter_model.safetensors'), fakeFile({ effect: 9 }))
    const truncated = await versionFolder(storeDir, 'b', 2)
    await writeFile(join(truncated, 'adapter_model.safetensors'), fakeFile({ effect: 2 }).slice(0, 10))
    const { registry } = await openRegistry({ storeDir })
    for (const [name, folder] of [
      ['a', altered],
      ['b', truncated],
    ] as const) {
      const acquire = (): Promise<unknown> => registry.acquire(registry.resolve({ model: name }, 'x'))
      expect(await codeOf(acquire)).toBe('digest_mismatch')
      expect(await messageOf(acquire)).toContain(folder)
    }
    ;(await registry.acquire(registry.resolve({ model: 'c' }, 'x'))).release()
    registry.checkIntegrity()
  })

  it('are not read again by every request, and are put right by an upload of the same bytes', async () => {
    const first = await openRegistry()
    const { version } = await upload(first.registry, 'a', { effect: 1 })
    await first.registry.close()
    const file = join(await versionFolder(first.storeDir, 'a', 1), 'adapter_model.safetensors')
    await writeFile(file, fakeFile({ effect: 9 }))
    let reads = 0
    const { registry } = await openRegistry({
      storeDir: first.storeDir,
      reader: (dir) => {
        reads++
        return readFakeAdapter(dir)
      },
    })
    const resolution = registry.resolve({ model: 'a' }, 'x')
    for (let n = 0; n < 5; n++) expect(await codeOf(() => registry.acquire(resolution))).toBe('digest_mismatch')
    expect(reads).toBe(1)
    expect((await upload(registry, 'a', { effect: 1 })).version).toBe(version)
    expect(await readFile(file, 'utf8')).toBe(fakeFile({ effect: 1 }))
    ;(await registry.acquire(resolution)).release()
  })

  it('that are gone are a clear error', async () => {
    const first = await openRegistry()
    await upload(first.registry, 'a', { effect: 1 })
    await first.registry.close()
    const { registry } = await openRegistry({ storeDir: first.storeDir })
    const folder = await versionFolder(first.storeDir, 'a', 1)
    await rm(join(folder, 'adapter_model.safetensors'))
    expect(existsSync(folder)).toBe(true)
    const acquire = (): Promise<unknown> => registry.acquire(registry.resolve({ model: 'a' }, 'x'))
    expect(await messageOf(acquire)).toContain('adapter_model.safetensors is missing')
  })
})
