import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Registry } from '../../src/registry/registry.ts'
import { codeOf, messageOf, openRegistry, upload } from '../support/registry-fixture.ts'

async function withVersions(count: number): Promise<{ registry: Registry; storeDir: string }> {
  const { registry, storeDir } = await openRegistry()
  for (let n = 1; n <= count; n++) await upload(registry, 'a', { effect: n })
  return { registry, storeDir }
}

function served(registry: Registry, task: string): string[] {
  return registry.resolve({ task }, 'x').adapters.map(({ adapter, version }) => `${adapter}@v${version}`)
}

describe('tasks', () => {
  it('pins the newest version when none is named, and keeps to it', async () => {
    const { registry } = await withVersions(1)
    const { task, created } = await registry.putTask('t', { routes: [{ adapter: 'a' }] }, 'me')
    expect([created, task.revision, task.routes]).toEqual([true, 1, [{ adapter: 'a', version: 1, weight: 1 }]])
    await upload(registry, 'a', { effect: 2 })
    expect(served(registry, 't')).toEqual(['a@v1'])
  })

  it('is durable before the answer', async () => {
    const { registry, storeDir } = await withVersions(1)
    await registry.putTask('acme/t', { description: 'x', prompt: '<{input}>', defaults: { max_tokens: 3 } }, 'me')
    const file = JSON.parse(await readFile(join(storeDir, 'tasks', 'acme', 't.json'), 'utf8')) as unknown
    expect(file).toEqual(registry.getTask('acme/t', 'acme'))
  })

  it('keeps what a change leaves out', async () => {
    const { registry } = await withVersions(2)
    await registry.putTask('t', { routes: [{ adapter: 'a', version: 1 }], prompt: '<{input}>', system: 's' }, 'me')
    const { task, created } = await registry.putTask('t', { description: 'new', system: null }, 'me')
    expect(created).toBe(false)
    expect(task).toMatchObject({ description: 'new', prompt: '<{input}>', system: null, revision: 2, history: [] })
    expect(served(registry, 't')).toEqual(['a@v1'])
  })

  it('has a shadow that is pinned like a route, kept by activations, and in the way of deletion', async () => {
    const { registry, storeDir } = await withVersions(3)
    const input = { routes: [{ adapter: 'a', version: 1 }], shadow: { adapter: 'a', sample: 0.1 } }
    const { task } = await registry.putTask('t', input, 'me')
    expect(task.shadow).toEqual({ adapter: 'a', version: 3, sample: 0.1 })
    await registry.activate('t', { adapter: 'a', version: 2 }, 'me')
    expect(await codeOf(() => registry.deleteVersion('a', 3))).toBe('adapter_in_use')
    const again = (await openRegistry({ storeDir })).registry
    expect(again.getTask('t', 'x').shadow).toEqual(task.shadow)
    await registry.putTask('t', { shadow: null }, 'me')
    expect(registry.getTask('t', 'x').shadow).toBeNull()
    expect(await registry.deleteVersion('a', 3)).toEqual({ status: 'deleted' })
  })

  it('activates at once and rolls back through the history', async () => {
    const { registry } = await withVersions(3)
    await registry.putTask('t', { routes: [{ adapter: 'a', version: 1 }] }, 'me')
    const second = await registry.activate('t', { adapter: 'a', version: 2 }, 'ann')
    expect(second.previous).toEqual([{ adapter: 'a', version: 1, weight: 1 }])
    expect(second.task.history).toMatchObject([{ by: 'ann', routes: second.previous }])
    await registry.activate('t', { adapter: 'a' }, 'ben')
    expect(served(registry, 't')).toEqual(['a@v3'])
    expect((await registry.rollback('t', 'me')).previous).toEqual([{ adapter: 'a', version: 3, weight: 1 }])
    expect(served(registry, 't')).toEqual(['a@v2'])
    await registry.rollback('t', 'me')
    expect(served(registry, 't')).toEqual(['a@v1'])
    expect(await codeOf(() => registry.rollback('t', 'me'))).toBe('rollback_empty')
    expect(registry.stats()).toMatchObject({ activations: 2, rollbacks: 2 })
  })

  it('does not fill the history with activations that change nothing, and bounds it', async () => {
    const { registry } = await withVersions(2)
    await registry.putTask('t', { routes: [{ adapter: 'a', version: 1 }] }, 'me')
    await registry.activate('t', { adapter: 'a', version: 1 }, 'me')
    expect(registry.getTask('t', 'x').history).toEqual([])
    for (let n = 0; n < 60; n++) await registry.activate('t', { adapter: 'a', version: 2 - (n % 2) }, 'me')
    expect(registry.getTask('t', 'x').history).toHaveLength(50)
  })

  it('rolls back over versions that are gone', async () => {
    const { registry } = await withVersions(3)
    await registry.putTask('t', { routes: [{ adapter: 'a', version: 1 }] }, 'me')
    await registry.activate('t', { adapter: 'a', version: 2 }, 'me')
    await registry.activate('t', { adapter: 'a', version: 3 }, 'me')
    await registry.deleteVersion('a', 2)
    await registry.rollback('t', 'me')
    expect(served(registry, 't')).toEqual(['a@v1'])
  })

  it('survives a restart with its history', async () => {
    const { registry, storeDir } = await withVersions(2)
    await registry.putTask('t', { routes: [{ adapter: 'a', version: 1 }] }, 'me')
    await registry.activate('t', { adapter: 'a' }, 'me')
    await registry.close()
    const again = await openRegistry({ storeDir })
    await again.registry.rollback('t', 'me')
    expect(served(again.registry, 't')).toEqual(['a@v1'])
  })

  it('refuses a change of what somebody else changed', async () => {
    const { registry } = await withVersions(1)
    await registry.putTask('t', {}, 'me', 0)
    expect(await codeOf(() => registry.putTask('t', {}, 'me', 0))).toBe('conflict')
    await registry.putTask('t', { description: 'x' }, 'me', 1)
    expect(await codeOf(() => registry.putTask('t', {}, 'me', 1))).toBe('conflict')
  })

  it('sees and does not undo what another process wrote', async () => {
    const { registry, storeDir } = await withVersions(2)
    const other = (await openRegistry({ storeDir })).registry
    await registry.putTask('t', { routes: [{ adapter: 'a', version: 1 }] }, 'me')
    await other.scan()
    await other.putTask('t', { prompt: '<{input}>' }, 'them')
    const { task } = await registry.activate('t', { adapter: 'a', version: 2 }, 'me')
    expect(task).toMatchObject({ prompt: '<{input}>', revision: 3 })
    await other.scan()
    expect(other.getTask('t', 'x')).toEqual(task)
    await other.deleteTask('t')
    await registry.scan()
    expect(await codeOf(() => registry.getTask('t', 'x'))).toBe('task_not_found')
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
    const { registry } = await withVersions(1)
    await registry.putTask('t', { description: 'kept' }, 'me')
    const before = registry.getTask('t', 'x')
    expect(await codeOf(() => registry.putTask('t', input, 'me'))).toBe(code)
    expect(await codeOf(() => registry.putTask('new', input, 'me'))).toBe(code)
    expect(registry.getTask('t', 'x')).toBe(before)
    expect(registry.listTasks('*')).toHaveLength(1)
  })

  it('never reaches an adapter of another owner', async () => {
    const { registry } = await openRegistry()
    await upload(registry, 'acme/a', { effect: 1 })
    const route = { routes: [{ adapter: 'acme/a' }] }
    await registry.putTask('acme/t', route, 'acme')
    for (const task of ['other/t', 't']) {
      expect(await codeOf(() => registry.putTask(task, route, 'other'))).toBe('invalid_request')
    }
    await registry.putTask('other/t', {}, 'other')
    const refusal = await messageOf(() => registry.activate('other/t', { adapter: 'acme/a' }, 'other'))
    const absent = await messageOf(() => registry.activate('other/t', { adapter: 'acme/b' }, 'other'))
    expect(refusal.replace('acme/a', 'acme/b')).toBe(absent)
  })

  it('shows tasks and adapters to those who may see them', async () => {
    const { registry } = await openRegistry()
    await upload(registry, 'acme/a', { effect: 1 })
    await upload(registry, 'b', { effect: 1 })
    await registry.putTask('acme/t', {}, 'acme')
    await registry.putTask('u', {}, 'acme')
    const names = (tenant: string): string[] => {
      return [...registry.listAdapters(tenant), ...registry.listTasks(tenant)].map(({ name }) => name)
    }
    expect(names('acme')).toEqual(['acme/a', 'b', 'acme/t', 'u'])
    expect(names('*')).toEqual(names('acme'))
    expect(names('other')).toEqual(['b', 'u'])
    expect(await codeOf(() => registry.getTask('acme/t', 'other'))).toBe('task_not_found')
    expect(await codeOf(() => registry.getAdapter('acme/a', 'other'))).toBe('adapter_not_found')
  })

  it('refuses bad names and unknown tasks', async () => {
    const { registry } = await withVersions(1)
    for (const name of ['../t', 'T', 'a/b/c', 't.json']) {
      expect(await codeOf(() => registry.putTask(name, {}, 'me'))).toBe('invalid_request')
      expect(await codeOf(() => registry.deleteTask(name))).toBe('invalid_request')
    }
    expect(await codeOf(() => registry.activate('nope', { adapter: 'a' }, 'me'))).toBe('task_not_found')
    expect(await codeOf(() => registry.rollback('nope', 'me'))).toBe('task_not_found')
    expect(await codeOf(() => registry.deleteTask('nope'))).toBe('task_not_found')
  })
})
