import { describe, expect, it } from 'vitest'
import type { Rooms } from '../../src/app/rooms.ts'
import { codeOf, messageOf, openRooms, upload, ME } from '../support/rooms.ts'

async function withVersions(count: number): Promise<{ rooms: Rooms; storeDir: string }> {
  const { rooms, storeDir } = await openRooms()
  for (let n = 1; n <= count; n++) await upload(rooms, 'a', { effect: n })
  return { rooms, storeDir }
}

function served(rooms: Rooms, task: string): string[] {
  return rooms.catalogue.resolve({ task }, 'x').adapters.map(({ adapter, version }) => `${adapter}@v${version}`)
}

describe('tasks', () => {
  it('pins the newest version when none is named, and keeps to it', async () => {
    const { rooms } = await withVersions(1)
    const { task, created } = await rooms.changes.putTask('t', { routes: [{ adapter: 'a' }] }, ME)
    expect([created, task.revision, task.routes]).toEqual([true, 1, [{ adapter: 'a', version: 1, weight: 1 }]])
    await upload(rooms, 'a', { effect: 2 })
    expect(served(rooms, 't')).toEqual(['a@v1'])
  })

  it('is durable before the answer', async () => {
    const { rooms, storeDir } = await withVersions(1)
    await rooms.changes.putTask('acme/t', { description: 'x', prompt: '<{input}>', defaults: { max_tokens: 3 } }, ME)
    const other = (await openRooms({ storeDir })).rooms
    expect(other.catalogue.getTask('acme/t', 'acme')).toEqual(rooms.catalogue.getTask('acme/t', 'acme'))
  })

  it('keeps what a change leaves out', async () => {
    const { rooms } = await withVersions(2)
    await rooms.changes.putTask('t', { routes: [{ adapter: 'a', version: 1 }], prompt: '<{input}>', system: 's' }, ME)
    const { task, created } = await rooms.changes.putTask('t', { description: 'new', system: null }, ME)
    expect(created).toBe(false)
    expect(task).toMatchObject({ description: 'new', prompt: '<{input}>', system: null, revision: 2, history: [] })
    expect(served(rooms, 't')).toEqual(['a@v1'])
  })

  it('has a shadow that is pinned like a route, kept by activations, and in the way of deletion', async () => {
    const { rooms, storeDir } = await withVersions(3)
    const input = { routes: [{ adapter: 'a', version: 1 }], shadow: { adapter: 'a', sample: 0.1 } }
    const { task } = await rooms.changes.putTask('t', input, ME)
    expect(task.shadow).toEqual({ adapter: 'a', version: 3, sample: 0.1 })
    await rooms.changes.activate('t', { adapter: 'a', version: 2 }, ME)
    expect(await codeOf(() => rooms.residency.deleteVersion('a', 3, ME))).toBe('adapter_in_use')
    const again = (await openRooms({ storeDir })).rooms
    expect(again.catalogue.getTask('t', 'x').shadow).toEqual(task.shadow)
    await rooms.changes.putTask('t', { shadow: null }, ME)
    expect(rooms.catalogue.getTask('t', 'x').shadow).toBeNull()
    expect(await rooms.residency.deleteVersion('a', 3, ME)).toEqual({ status: 'deleted' })
  })

  it('activates at once and rolls back through the history', async () => {
    const { rooms } = await withVersions(3)
    await rooms.changes.putTask('t', { routes: [{ adapter: 'a', version: 1 }] }, ME)
    const second = await rooms.changes.activate('t', { adapter: 'a', version: 2 }, { by: 'ann' })
    expect(second.previous).toEqual([{ adapter: 'a', version: 1, weight: 1 }])
    expect(second.task.history).toMatchObject([{ by: 'ann', routes: second.previous }])
    await rooms.changes.activate('t', { adapter: 'a' }, { by: 'ben' })
    expect(served(rooms, 't')).toEqual(['a@v3'])
    expect((await rooms.changes.rollback('t', ME)).previous).toEqual([{ adapter: 'a', version: 3, weight: 1 }])
    expect(served(rooms, 't')).toEqual(['a@v2'])
    await rooms.changes.rollback('t', ME)
    expect(served(rooms, 't')).toEqual(['a@v1'])
    expect(await codeOf(() => rooms.changes.rollback('t', ME))).toBe('rollback_empty')
    expect(rooms.stats()).toMatchObject({ activations: 2, rollbacks: 2 })
  })

  it('does not fill the history with activations that change nothing, and bounds it', async () => {
    const { rooms } = await withVersions(2)
    await rooms.changes.putTask('t', { routes: [{ adapter: 'a', version: 1 }] }, ME)
    await rooms.changes.activate('t', { adapter: 'a', version: 1 }, ME)
    expect(rooms.catalogue.getTask('t', 'x').history).toEqual([])
    for (let n = 0; n < 60; n++) await rooms.changes.activate('t', { adapter: 'a', version: 2 - (n % 2) }, ME)
    expect(rooms.catalogue.getTask('t', 'x').history).toHaveLength(50)
  })

  it('rolls back over versions that are gone', async () => {
    const { rooms } = await withVersions(3)
    await rooms.changes.putTask('t', { routes: [{ adapter: 'a', version: 1 }] }, ME)
    await rooms.changes.activate('t', { adapter: 'a', version: 2 }, ME)
    await rooms.changes.activate('t', { adapter: 'a', version: 3 }, ME)
    await rooms.residency.deleteVersion('a', 2, ME)
    await rooms.changes.rollback('t', ME)
    expect(served(rooms, 't')).toEqual(['a@v1'])
  })

  it('survives a restart with its history', async () => {
    const { rooms, storeDir } = await withVersions(2)
    await rooms.changes.putTask('t', { routes: [{ adapter: 'a', version: 1 }] }, ME)
    await rooms.changes.activate('t', { adapter: 'a' }, ME)
    await rooms.close()
    const again = await openRooms({ storeDir })
    await again.rooms.changes.rollback('t', ME)
    expect(served(again.rooms, 't')).toEqual(['a@v1'])
  })

  it('refuses a change of what somebody else changed', async () => {
    const { rooms } = await withVersions(1)
    await rooms.changes.putTask('t', {}, ME, 0)
    expect(await codeOf(() => rooms.changes.putTask('t', {}, ME, 0))).toBe('conflict')
    await rooms.changes.putTask('t', { description: 'x' }, ME, 1)
    expect(await codeOf(() => rooms.changes.putTask('t', {}, ME, 1))).toBe('conflict')
  })

  it('sees and does not undo what another process wrote', async () => {
    const { rooms, storeDir } = await withVersions(2)
    const other = (await openRooms({ storeDir })).rooms
    await rooms.changes.putTask('t', { routes: [{ adapter: 'a', version: 1 }] }, ME)
    await other.follow()
    await other.changes.putTask('t', { prompt: '<{input}>' }, { by: 'them' })
    const { task } = await rooms.changes.activate('t', { adapter: 'a', version: 2 }, ME)
    expect(task).toMatchObject({ prompt: '<{input}>', revision: 3 })
    await other.follow()
    expect(other.catalogue.getTask('t', 'x')).toEqual(task)
    await other.changes.deleteTask('t', ME)
    await rooms.follow()
    expect(await codeOf(() => rooms.catalogue.getTask('t', 'x'))).toBe('task_not_found')
  })

  it.each([
    [{ prompt: 'no slot' }, 'invalid_request'],
    [{ prompt: '{input} {input}' }, 'invalid_request'],
    [{ routes: [{ adapter: 'nope' }] }, 'adapter_not_found'],
    [{ routes: [{ adapter: 'a', version: 9 }] }, 'version_not_found'],
    [{ routes: [{ adapter: 'a', weight: 0 }] }, 'invalid_request'],
    [{ routes: [{ adapter: 'a', weight: -1 }] }, 'invalid_request'],
    [{ routes: [{ adapter: 'a', weight: NaN }] }, 'invalid_request'],
    [{ routes: Array.from({ length: 17 }, () => ({ adapter: 'a' })) }, 'invalid_request'],
    [{ defaults: { max_token: 3 } as never }, 'invalid_request'],
    [{ defaults: { temperature: Infinity } }, 'invalid_request'],
    [{ shadow: { adapter: 'nope' } }, 'adapter_not_found'],
    [{ shadow: { adapter: 'a', version: 9 } }, 'version_not_found'],
    [{ shadow: { adapter: 'a', sample: 0 } }, 'invalid_request'],
    [{ shadow: { adapter: 'a', sample: 1.1 } }, 'invalid_request'],
  ])('refuses %j with %s and changes nothing', async (input, code) => {
    const { rooms } = await withVersions(1)
    await rooms.changes.putTask('t', { description: 'kept' }, ME)
    const before = rooms.catalogue.getTask('t', 'x')
    expect(await codeOf(() => rooms.changes.putTask('t', input, ME))).toBe(code)
    expect(await codeOf(() => rooms.changes.putTask('new', input, ME))).toBe(code)
    expect(rooms.catalogue.getTask('t', 'x')).toBe(before)
    expect(rooms.catalogue.listTasks('*')).toHaveLength(1)
  })

  it('never reaches an adapter of another owner', async () => {
    const { rooms } = await openRooms()
    await upload(rooms, 'acme/a', { effect: 1 })
    const route = { routes: [{ adapter: 'acme/a' }] }
    await rooms.changes.putTask('acme/t', route, { by: 'acme' })
    for (const task of ['other/t', 't']) {
      expect(await codeOf(() => rooms.changes.putTask(task, route, { by: 'other' }))).toBe('invalid_request')
    }
    await rooms.changes.putTask('other/t', {}, { by: 'other' })
    const refusal = await messageOf(() => rooms.changes.activate('other/t', { adapter: 'acme/a' }, { by: 'other' }))
    const absent = await messageOf(() => rooms.changes.activate('other/t', { adapter: 'acme/b' }, { by: 'other' }))
    expect(refusal.replace('acme/a', 'acme/b')).toBe(absent)
  })

  it('shows tasks and adapters to those who may see them', async () => {
    const { rooms } = await openRooms()
    await upload(rooms, 'acme/a', { effect: 1 })
    await upload(rooms, 'b', { effect: 1 })
    await rooms.changes.putTask('acme/t', {}, { by: 'acme' })
    await rooms.changes.putTask('u', {}, { by: 'acme' })
    const names = (tenant: string): string[] => {
      return [...rooms.catalogue.listAdapters(tenant), ...rooms.catalogue.listTasks(tenant)].map(({ name }) => name)
    }
    expect(names('acme')).toEqual(['acme/a', 'b', 'acme/t', 'u'])
    expect(names('*')).toEqual(names('acme'))
    expect(names('other')).toEqual(['b', 'u'])
    expect(await codeOf(() => rooms.catalogue.getTask('acme/t', 'other'))).toBe('task_not_found')
    expect(await codeOf(() => rooms.catalogue.getAdapter('acme/a', 'other'))).toBe('adapter_not_found')
  })

  it('refuses bad names and unknown tasks', async () => {
    const { rooms } = await withVersions(1)
    for (const name of ['../t', 'T', 'a/b/c', 't.json']) {
      expect(await codeOf(() => rooms.changes.putTask(name, {}, ME))).toBe('invalid_request')
      expect(await codeOf(() => rooms.changes.deleteTask(name, ME))).toBe('invalid_request')
    }
    expect(await codeOf(() => rooms.changes.activate('nope', { adapter: 'a' }, ME))).toBe('task_not_found')
    expect(await codeOf(() => rooms.changes.rollback('nope', ME))).toBe('task_not_found')
    expect(await codeOf(() => rooms.changes.deleteTask('nope', ME))).toBe('task_not_found')
  })
})
