import { join } from 'node:path'
import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { Catalogue } from '../../src/registry/catalogue.ts'
import { Changes } from '../../src/registry/changes.ts'
import type { AddedVersion } from '../../src/registry/intake.ts'
import type { MergeInput } from '../../src/registry/merges.ts'
import { mergeInto } from '../../src/registry/merges.ts'
import type { Registry } from '../../src/registry/registry.ts'
import type { OpenRegistry } from '../support/registry-fixture.ts'
import { FakeHost } from '../support/fake-host.ts'
import { fakeVersion } from '../support/fake-adapter.ts'
import { codeOf, messageOf, openRegistry } from '../support/registry-fixture.ts'
import type { AdapterFixture } from '../support/tiny-adapters.ts'
import { readTiny, tinyLora, writeAdapter } from '../support/tiny-adapters.ts'
import { tinyInfo } from '../support/tiny-model.ts'

async function openTiny(options: { storeDir?: string } = {}): Promise<OpenRegistry> {
  const reader = async (dir: string) => readTiny(dir)
  return openRegistry({ ...options, host: new FakeHost(tinyInfo()), reader, memoryBytes: 100_000 })
}

async function add(registry: Registry, name: string, fixture: AdapterFixture): Promise<void> {
  const staging = await registry.stageUpload()
  writeAdapter(staging.dir, fixture)
  await registry.addVersion(name, staging, { source: 'upload', by: 'tests' })
}

async function merge(
  registry: Registry,
  adapters: MergeInput['adapters'],
  options: { readonly combination?: MergeInput['combination']; readonly tenant?: string } = {},
): Promise<AddedVersion> {
  const { combination = 'cat', tenant = '*' } = options
  const staging = await registry.stageUpload()
  try {
    const description = await registry.mergeInto(staging, { combination, adapters, limitBytes: 1e6 }, tenant)
    const origin = { source: 'merge', by: 'me', notes: { description } } as const
    return await registry.addVersion('merged', staging, origin)
  } finally {
    await staging.discard()
  }
}

describe('a merge of stored versions', () => {
  it('is a version of its own: it says what it is of, outlives its sources and a restart', async () => {
    const { registry, storeDir } = await openTiny()
    await add(registry, 'a', tinyLora(['q_proj'], 2))
    await add(registry, 'a', tinyLora(['v_proj'], 3))
    const adapters = [
      { name: 'a', version: 1, weight: 0.5 },
      { name: 'a', weight: -2 },
    ]
    const { record, created } = await merge(registry, adapters)
    expect(created).toBe(true)
    const said = { source: 'merge', description: 'cat of a@v1 × 0.5, a@v2 × -2' } as const
    expect(record).toMatchObject({ version: 1, state: 'ready', method: 'lora', rank: 3, ...said })
    expect(record.sites).toEqual(['q_proj', 'v_proj'].flatMap((kind) => [0, 1].map((layer) => `layers.${layer}.${kind}`)).sort()) // prettier-ignore
    const folder = join(storeDir, 'adapters/merged', record.digest.slice('sha256:'.length))
    expect(JSON.parse(await readFile(join(folder, 'version.json'), 'utf8'))).toMatchObject({ createdBy: 'me', ...said })
    expect(await merge(registry, adapters)).toMatchObject({ created: false, record: { version: 1 } })
    await registry.deleteAdapter('a')
    await registry.close()
    const again = await openTiny({ storeDir })
    expect(again.registry.getAdapter('merged', 'x').versions).toEqual([record])
    const lease = await again.registry.acquire(again.registry.resolve({ model: 'merged' }, 'x'))
    expect(again.host.held.get(record.digest)?.branches.map(({ rank }) => rank)).toEqual([2, 3, 2, 3])
    lease.release()
  })

  it('is refused for what is not there, not visible, not a number or not mergeable, and leaves nothing', async () => {
    const { registry } = await openTiny()
    await add(registry, 'a', tinyLora(['q_proj'], 2))
    await add(registry, 'zeta/b', tinyLora(['q_proj'], 3))
    const code = (adapters: MergeInput['adapters'], options = {}) => codeOf(() => merge(registry, adapters, options))
    expect(await code([])).toBe('invalid_request')
    expect(await code(Array.from({ length: 17 }, () => ({ name: 'a', weight: 1 })))).toBe('invalid_request')
    for (const weight of [NaN, Infinity]) expect(await code([{ name: 'a', weight }])).toBe('invalid_request')
    expect(await code([{ name: 'b', weight: 1 }])).toBe('adapter_not_found')
    expect(await code([{ name: 'a', version: 2, weight: 1 }])).toBe('version_not_found')
    expect(await code([{ name: 'zeta/b', weight: 1 }], { tenant: 'acme' })).toBe('adapter_not_found')
    const unequal = [
      { name: 'a', weight: 1 },
      { name: 'zeta/b', weight: 1 },
    ]
    expect(await messageOf(() => merge(registry, unequal, { combination: 'linear' }))).toContain(
      'has rank 2 in a@v1 and 3 in zeta/b@v1',
    )
    expect(await code([{ name: 'a', weight: 1e300 }])).toBe('invalid_adapter')
    expect(await codeOf(() => registry.getAdapter('merged', '*'))).toBe('adapter_not_found')
    expect(await code(unequal)).toBe('none')
  })

  it('names what is no plain LoRA of PEFT, and a source that was deleted while it was read', async () => {
    const catalogue = new Catalogue('f')
    const base = { name: 'base', fingerprint: 'f' }
    const document = { createdBy: 'x', base }
    catalogue.add({ ...fakeVersion('dora', 1, 'aaaa'), ...document, method: 'dora' })
    catalogue.add({ ...fakeVersion('hub', 1, 'bbbb'), ...document, format: 'adapterhub' })
    catalogue.add({ ...fakeVersion('a', 1, 'cccc'), ...document })
    const failure = new Error('the folder is gone')
    const run = (name: string, merged: () => void) => {
      const parts = { store: { versionFolder: () => '/nowhere' }, catalogue, changes: new Changes() }
      const staging = { dir: '/nowhere', write: async () => 0, discard: async () => undefined }
      const input = { combination: 'cat', adapters: [{ name, weight: 1 }], limitBytes: 1 } as const
      return mergeInto({ ...parts, merge: async () => merged() }, staging, input, '*')
    }
    const fail = () => {
      throw failure
    }
    expect(await messageOf(() => run('dora', fail))).toContain('dora@v1 is of the method dora')
    expect(await messageOf(() => run('hub', fail))).toContain('hub@v1 is saved by AdapterHub')
    await expect(run('a', fail)).rejects.toBe(failure)
    const gone = run('a', () => {
      catalogue.removeAdapter('a')
      throw failure
    })
    await expect(gone).rejects.toMatchObject({ code: 'version_not_found', param: 'adapters' })
  })
})
