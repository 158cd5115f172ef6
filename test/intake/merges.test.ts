import { describe, expect, it } from 'vitest'
import { Catalogue } from '../../src/catalogue/catalogue.ts'
import type { AddedVersion } from '../../src/intake/intake.ts'
import type { MergeInput } from '../../src/intake/merges.ts'
import { mergeInto } from '../../src/intake/merges.ts'
import type { Rooms } from '../../src/app/rooms.ts'
import type { OpenRooms } from '../support/rooms.ts'
import { FakeHost } from '../support/fake-host.ts'
import { BareBook, newVersion } from '../support/catalogue.ts'
import { codeOf, messageOf, openRooms, ME } from '../support/rooms.ts'
import type { AdapterFixture } from '../support/tiny-adapters.ts'
import { readTiny, tinyLora, writeAdapter } from '../support/tiny-adapters.ts'
import { tinyInfo } from '../support/tiny-model.ts'

async function openTiny(options: { storeDir?: string } = {}): Promise<OpenRooms> {
  const reader = async (dir: string) => readTiny(dir)
  return openRooms({ ...options, host: new FakeHost(tinyInfo()), reader, memoryBytes: 100_000 })
}

async function add(rooms: Rooms, name: string, fixture: AdapterFixture): Promise<void> {
  const staging = await rooms.intake.stage()
  writeAdapter(staging.dir, fixture)
  await rooms.intake.add(name, staging, { source: 'upload', by: 'tests' })
}

async function merge(
  rooms: Rooms,
  adapters: MergeInput['adapters'],
  options: { readonly combination?: MergeInput['combination']; readonly tenant?: string } = {},
): Promise<AddedVersion> {
  const { combination = 'cat', tenant = '*' } = options
  const staging = await rooms.intake.stage()
  try {
    const description = await rooms.intake.mergeInto(staging, { combination, adapters, limitBytes: 1e6 }, tenant)
    const origin = { source: 'merge', by: 'me', notes: { description } } as const
    return await rooms.intake.add('merged', staging, origin)
  } finally {
    await staging.discard()
  }
}

describe('a merge of stored versions', () => {
  it('is a version of its own: it says what it is of, outlives its sources and a restart', async () => {
    const { rooms, storeDir } = await openTiny()
    await add(rooms, 'a', tinyLora(['q_proj'], 2))
    await add(rooms, 'a', tinyLora(['v_proj'], 3))
    const adapters = [
      { name: 'a', version: 1, weight: 0.5 },
      { name: 'a', weight: -2 },
    ]
    const { record, created } = await merge(rooms, adapters)
    expect(created).toBe(true)
    const said = { source: 'merge', description: 'cat of a@v1 × 0.5, a@v2 × -2' } as const
    expect(record).toMatchObject({ version: 1, state: 'ready', method: 'lora', rank: 3, ...said })
    expect(record.sites).toEqual(['q_proj', 'v_proj'].flatMap((kind) => [0, 1].map((layer) => `layers.${layer}.${kind}`)).sort()) // prettier-ignore
    expect(rooms.catalogue.state.byNumber('merged', 1)).toMatchObject({ createdBy: 'me', ...said })
    expect(await merge(rooms, adapters)).toMatchObject({ created: false, record: { version: 1 } })
    await rooms.residency.deleteAdapter('a', ME)
    await rooms.close()
    const again = await openTiny({ storeDir })
    expect(again.rooms.catalogue.getAdapter('merged', 'x').versions).toEqual([record])
    const lease = await again.rooms.residency.acquire(again.rooms.catalogue.resolve({ model: 'merged' }, 'x'))
    expect(again.host.held.get(record.digest)?.branches.map(({ rank }) => rank)).toEqual([2, 3, 2, 3])
    lease.release()
  })

  it('is refused for what is not there, not visible, not a number or not mergeable, and leaves nothing', async () => {
    const { rooms } = await openTiny()
    await add(rooms, 'a', tinyLora(['q_proj'], 2))
    await add(rooms, 'zeta/b', tinyLora(['q_proj'], 3))
    const code = (adapters: MergeInput['adapters'], options = {}) => codeOf(() => merge(rooms, adapters, options))
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
    expect(await messageOf(() => merge(rooms, unequal, { combination: 'linear' }))).toContain(
      'has rank 2 in a@v1 and 3 in zeta/b@v1',
    )
    expect(await code([{ name: 'a', weight: 1e300 }])).toBe('invalid_adapter')
    expect(await codeOf(() => rooms.catalogue.getAdapter('merged', '*'))).toBe('adapter_not_found')
    expect(await code(unequal)).toBe('none')
  })

  it('names what is no plain LoRA of PEFT, and a source that was deleted while it was read', async () => {
    const bare = new BareBook()
    const catalogue = new Catalogue(bare.state, { name: 'base', fingerprint: 'sha256:0' }, () => 0)
    bare.take('version.added', { ...newVersion('dora', 1), method: 'dora' })
    bare.take('version.added', { ...newVersion('hub', 2), format: 'adapterhub' })
    bare.take('version.added', newVersion('a', 3))
    const failure = new Error('the folder is gone')
    const { rooms } = await openRooms()
    const blobs = { folder: async () => '/nowhere', discard: async () => false }
    const run = async (name: string, merged: () => void) => {
      const input = { combination: 'cat', adapters: [{ name, weight: 1 }], limitBytes: 1 } as const
      return mergeInto({ catalogue, blobs, merge: async () => merged() }, await rooms.intake.stage(), input, '*')
    }
    const fail = () => {
      throw failure
    }
    expect(await messageOf(() => run('dora', fail))).toContain('dora@v1 is of the method dora')
    expect(await messageOf(() => run('hub', fail))).toContain('hub@v1 is saved by AdapterHub')
    await expect(run('a', fail)).rejects.toBe(failure)
    const gone = run('a', () => {
      bare.take('adapter.deleted', { adapter: 'a', drainSeconds: 0 })
      throw failure
    })
    await expect(gone).rejects.toMatchObject({ code: 'version_not_found', param: 'adapters' })
  })
})
