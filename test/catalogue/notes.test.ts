import { rename } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { stageFake } from '../support/fake-adapter.ts'
import { codeOf, openRooms, upload, ME } from '../support/rooms.ts'

describe('notes', () => {
  it('come with an upload, change later, survive a restart and reach other processes', async () => {
    const { rooms, storeDir } = await openRooms()
    const other = (await openRooms({ storeDir })).rooms
    const staging = await stageFake(await rooms.intake.stage(), { effect: 1 })
    const notes = { description: 'first', labels: { stage: 'test' } }
    const { record } = await rooms.intake.add('a', staging, { source: 'upload', by: 'me', notes })
    expect(record).toMatchObject(notes)
    expect(await rooms.changes.describeVersion('a', 1, { labels: { stage: 'live' } }, ME)).toMatchObject({
      description: 'first',
      labels: { stage: 'live' },
      digest: record.digest,
    })
    await rooms.changes.describeAdapter('a', { description: 'the adapter' }, ME)
    await other.follow()
    expect(other.catalogue.getAdapter('a', 'x')).toMatchObject({
      description: 'the adapter',
      pinned: false,
      versions: [{ version: 1, description: 'first', labels: { stage: 'live' } }],
    })
    // Both change: neither undoes the other.
    await other.changes.describeAdapter('a', { labels: { team: 'x' } }, ME)
    await rooms.changes.describeAdapter('a', { pinned: true }, ME)
    await other.follow()
    expect(other.catalogue.getAdapter('a', 'x')).toMatchObject({
      labels: { team: 'x' },
      pinned: true,
      description: 'the adapter',
    })
    const again = (await openRooms({ storeDir })).rooms
    expect(again.catalogue.getAdapter('a', 'x')).toEqual(other.catalogue.getAdapter('a', 'x'))
  })

  it.each([
    [{ description: 'x'.repeat(4_097) }],
    [{ labels: { 'a b': 'x' } }],
    [{ labels: { a: 'x'.repeat(257) } }],
    [{ labels: Object.fromEntries(Array.from({ length: 33 }, (_, n) => [`k${n}`, ''])) }],
  ])('that are too much are refused and change nothing', async (notes) => {
    const { rooms } = await openRooms()
    await upload(rooms, 'a', { effect: 1 })
    const before = rooms.catalogue.getAdapter('a', 'x')
    expect(await codeOf(() => rooms.changes.describeAdapter('a', notes, ME))).toBe('invalid_request')
    expect(await codeOf(() => rooms.changes.describeVersion('a', 1, notes, ME))).toBe('invalid_request')
    expect(rooms.catalogue.getAdapter('a', 'x')).toEqual(before)
  })

  it('need something to be about, and go with it', async () => {
    const { rooms } = await openRooms()
    await upload(rooms, 'a', { effect: 1 })
    expect(await codeOf(() => rooms.changes.describeAdapter('b', {}, ME))).toBe('adapter_not_found')
    expect(await codeOf(() => rooms.changes.describeVersion('a', 2, {}, ME))).toBe('version_not_found')
    await rooms.changes.describeAdapter('a', { description: 'old' }, ME)
    await rooms.residency.deleteVersion('a', 1, ME)
    await upload(rooms, 'a', { effect: 1 })
    await rooms.follow()
    expect(rooms.catalogue.getAdapter('a', 'x').description).toBeUndefined()
  })
})

describe('uploads on their way', () => {
  it('show their state, and a refused one its reason, without bytes', async () => {
    const { rooms, storeDir } = await openRooms()
    const states = (): [number, string, string | null][] =>
      rooms.catalogue.getAdapter('a', 'x').versions.map(({ version, state, reason }) => [version, state, reason])
    const pending = rooms.intake.begin('a', { source: 'upload', ...ME, notes: { description: 'd' } })
    expect(states()).toEqual([[0, 'uploading', null]])
    pending.validating()
    expect(states()).toEqual([[0, 'validating', null]])
    await pending.reject('invalid_adapter: no')
    expect(states()).toEqual([[0, 'rejected', 'invalid_adapter: no']])
    const again = await openRooms({ storeDir })
    expect(again.rooms.catalogue.getAdapter('a', 'x').versions).toMatchObject([
      { version: 0, state: 'rejected', reason: 'invalid_adapter: no', source: 'upload', description: 'd' },
    ])
    for (let n = 0; n < 3; n++) await again.rooms.follow()
    expect(again.rooms.stats()).toMatchObject({ uploads: 0, imports: 0, refusedUploads: 0 })
    expect(await codeOf(() => rooms.catalogue.resolve({ model: 'a' }, 'x'))).toBe('model_not_found')
    await upload(rooms, 'a', { effect: 1 })
    expect(states()).toEqual([[1, 'ready', null]])
    await again.rooms.follow()
    expect(again.rooms.catalogue.getAdapter('a', 'x').versions).toMatchObject([{ version: 1, state: 'ready' }])
    for (let n = 0; n < 120; n++) await rooms.intake.begin('a', { source: 'upload', ...ME }).reject(`${n}`)
    expect(states()).toHaveLength(101)
    expect(states()[0]).toEqual([0, 'rejected', '20'])
  })

  it('that were refused go with the adapter, also where there is nothing else', async () => {
    const { rooms, storeDir } = await openRooms()
    await rooms.intake.begin('a', { source: 'upload', ...ME }).reject('invalid_adapter: no')
    expect(await rooms.residency.deleteAdapter('a', ME)).toEqual({ status: 'deleted' })
    expect(await codeOf(() => rooms.residency.deleteAdapter('a', ME))).toBe('adapter_not_found')
    await rooms.close()
    expect((await openRooms({ storeDir })).rooms.catalogue.listAdapters('*')).toEqual([])
  })

  it('are answered also where the store cannot remember the refusal', async () => {
    const { rooms, storeDir, log } = await openRooms()
    await rename(join(storeDir, 'journal'), join(storeDir, 'away'))
    await rooms.intake.begin('a', { source: 'upload', ...ME }).reject('invalid_adapter: no')
    expect(rooms.catalogue.getAdapter('a', 'x').versions).toMatchObject([{ state: 'rejected' }])
    expect(log.lines.filter((line) => line.startsWith('error: the store could not take note'))).toHaveLength(1)
  })

  it('are forgotten when they end', async () => {
    const { rooms } = await openRooms()
    rooms.intake.begin('a', { source: 'upload', ...ME }).finish()
    expect(await codeOf(() => rooms.catalogue.getAdapter('a', 'x'))).toBe('adapter_not_found')
  })
})

describe('a deleted version', () => {
  it('is known for a while, to those who could see it', async () => {
    const { rooms } = await openRooms()
    await upload(rooms, 'acme/a', { effect: 1 })
    const held = await rooms.residency.acquire(rooms.catalogue.resolve({ model: 'acme/a' }, 'acme'))
    await rooms.residency.deleteVersion('acme/a', 1, ME)
    const seen = (version: number, tenant: string) => rooms.catalogue.getVersion('acme/a', version, tenant)
    expect(seen(1, 'acme')).toMatchObject({ version: 1, state: 'draining' })
    held.release()
    expect(seen(1, 'acme')).toMatchObject({ version: 1, state: 'deleted' })
    for (const [version, tenant] of [
      [1, 'zeta'],
      [2, 'acme'],
    ] as const)
      expect(await codeOf(() => seen(version, tenant))).toBe('adapter_not_found')
  })
})
