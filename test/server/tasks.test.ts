import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { testApp } from '../support/test-app.ts'
import type { TestApp } from '../support/test-app.ts'

let served: TestApp

beforeEach(async () => {
  served = await testApp({
    tenants: [
      { name: 'acme', keys: ['acme-key'] },
      { name: 'zeta', keys: ['zeta-key'] },
      { name: 'ops', keys: ['ops-key'], role: 'admin' as const },
    ],
  })
  await served.addAdapter('acme/a', 'cccc', 'dddd')
})
afterEach(() => served.app.close())

type Method = 'GET' | 'PUT' | 'POST' | 'DELETE'

async function as(who: string, method: Method, path: string, payload?: object) {
  const headers = { authorization: `Bearer ${who}-key` }
  return served.call({ method, url: `/v1/${path}`, headers, ...(payload ? { payload } : {}) })
}

interface History {
  readonly data: { by: string; routes: { version: string }[] }[]
  readonly next: string | null
}

describe('listings', () => {
  it('have pages of tasks, and of a task’s history from its end', async () => {
    for (const name of ['acme/b', 'acme/a', 'acme/c']) await as('acme', 'PUT', `tasks/${name}`, {})
    const page = async (query: string) =>
      (await as('acme', 'GET', `tasks${query}`)).json<{ data: { task: string }[]; next: string | null }>()
    const names = (body: { data: { task: string }[] }): string[] => body.data.map(({ task }) => task)
    const first = await page('?prefix=acme/&limit=2')
    expect([names(first), first.next]).toEqual([['acme/a', 'acme/b'], 'acme/b'])
    const rest = await page('?prefix=acme/&limit=2&after=acme/b')
    expect([names(rest), rest.next]).toEqual([['acme/c'], null])
    for (const version of ['v1', 'v2', 'v1']) {
      await as('acme', 'POST', 'tasks/acme/a/activate', { adapter: 'acme/a', version })
    }
    const history = async (query: string) => (await as('acme', 'GET', `tasks/acme/a/history${query}`)).json<History>()
    const newest = await history('?limit=2')
    expect(newest.data.map(({ routes }) => routes[0]?.version)).toEqual(['v2', 'v1'])
    expect(newest.data[0]).toMatchObject({ by: 'acme' })
    const oldest = await history(`?limit=2&after=${newest.next}`)
    expect([oldest.data.map(({ routes }) => routes), oldest.next]).toEqual([[[]], null])
    expect((await as('zeta', 'GET', 'tasks/acme/a/history')).statusCode).toBe(404)
    expect((await as('acme', 'GET', 'tasks?limit=0')).statusCode).toBe(400)
  })
})

describe('/v1/tasks', () => {
  it('creates, changes, shows and deletes a task', async () => {
    const created = await as('acme', 'PUT', 'tasks/acme%2Ft', {
      adapter: 'acme/a',
      description: 'd',
      prompt: 'P {input}',
    })
    expect(created.statusCode).toBe(201)
    expect(created.json()).toMatchObject({
      task: 'acme/t',
      routes: [{ adapter: 'acme/a', version: 'v2', weight: 1 }],
      prompt: 'P {input}',
      revision: 1,
    })
    const routes = [
      { adapter: 'acme/a', version: 'v1', weight: 3 },
      { adapter: 'json', version: 2 },
    ]
    const changed = await as('acme', 'PUT', 'tasks/acme/t', { routes, defaults: { max_tokens: 5, stop: ['x'] } })
    expect(changed.statusCode).toBe(200)
    expect(changed.json()).toMatchObject({
      routes: [
        { adapter: 'acme/a', version: 'v1', weight: 3 },
        { adapter: 'json', version: 'v2', weight: 1 },
      ],
      description: 'd',
      defaults: { max_tokens: 5, stop: ['x'] },
    })
    expect((await as('acme', 'GET', 'tasks/acme%2Ft')).json()).toEqual(changed.json())
    expect((await as('acme', 'DELETE', 'tasks/acme%2Ft')).statusCode).toBe(204)
    expect((await as('acme', 'GET', 'tasks/acme%2Ft')).statusCode).toBe(404)
  })

  it('activates and rolls back', async () => {
    await as('acme', 'PUT', 'tasks/acme%2Ft', { adapter: 'acme/a', version: 'v1' })
    const activated = await as('acme', 'POST', 'tasks/acme/t/activate', {
      adapter: 'acme/a',
      version: 'sha256:dddd00000000',
    })
    expect(activated.json()).toMatchObject({
      task: { routes: [{ version: 'v2' }] },
      previous: [{ adapter: 'acme/a', version: 'v1', weight: 1 }],
    })
    const back = await as('acme', 'POST', 'tasks/acme/t/rollback')
    expect(back.json()).toMatchObject({ task: { routes: [{ version: 'v1' }] }, previous: [{ version: 'v2' }] })
    const empty = await as('acme', 'POST', 'tasks/acme/t/rollback')
    expect(empty.statusCode).toBe(409)
    expect(empty.json()).toMatchObject({ error: { code: 'rollback_empty' } })
  })

  it.each([
    [{ adapter: 'json', routes: [] }, 'routes'],
    [{ version: 'v1' }, 'version'],
    [{ adaptor: 'json' }, 'adaptor'],
    [{ defaults: { max_token: 5 } }, 'defaults.max_token'],
    [{ routes: [{ adapter: 'json', weight: -1 }] }, 'routes[0].weight'],
  ])('refuses %j', async (payload, param) => {
    const response = await as('ops', 'PUT', 'tasks/t', payload)
    expect(response.statusCode).toBe(400)
    expect(response.json()).toMatchObject({ error: { param } })
  })

  it('lets tenants alter only what begins with their name, and see only that and what nobody owns', async () => {
    await as('acme', 'PUT', 'tasks/acme%2Ft', { adapter: 'acme/a' })
    for (const [method, path, status] of [
      ['PUT', 'tasks/acme%2Ft', 404],
      ['PUT', 'tasks/acme%2Fnone', 404],
      ['DELETE', 'tasks/acme%2Ft', 404],
      ['DELETE', 'tasks/extract', 403],
      ['POST', 'tasks/acme%2Ft/rollback', 404],
    ] as const) {
      const response = await as('zeta', method, path, method === 'PUT' ? {} : undefined)
      expect(response.statusCode, `${method} ${path}`).toBe(status)
      const code = status === 404 ? 'task_not_found' : 'forbidden'
      expect(response.json()).toMatchObject({ error: { code } })
    }
    expect((await as('zeta', 'GET', 'tasks/acme%2Ft')).statusCode).toBe(404)
    expect((await as('zeta', 'GET', 'tasks')).json<{ data: object[] }>().data).toMatchObject([{ task: 'extract' }])
    expect((await as('ops', 'GET', 'tasks')).json<{ data: object[] }>().data).toHaveLength(2)
    expect((await as('ops', 'DELETE', 'tasks/acme%2Ft')).statusCode).toBe(204)
    const foreign = await as('zeta', 'PUT', 'tasks/zeta%2Ft', { adapter: 'acme/a' })
    expect(foreign.json()).toMatchObject({ error: { code: 'adapter_not_found' } })
  })

  it('needs a key', async () => {
    const missing = await served.call({ url: '/v1/tasks' })
    expect(missing.statusCode).toBe(401)
    expect(missing.json()).toMatchObject({ error: { code: 'invalid_api_key', type: 'authentication_error' } })
    const wrong = await served.call({ url: '/v1/tasks', headers: { 'x-api-key': 'nope' } })
    expect(wrong.statusCode).toBe(401)
    expect((await served.call({ url: '/v1/tasks', headers: { 'x-api-key': 'acme-key' } })).statusCode).toBe(200)
    expect((await served.call({ url: '/health/live' })).statusCode).toBe(200)
  })

  it('runs other tenants’ tasks and adapters for nobody', async () => {
    await as('acme', 'PUT', 'tasks/acme%2Ft', { adapter: 'acme/a' })
    expect((await as('acme', 'POST', 'tasks/acme/t/generate', { input: 'x' })).statusCode).toBe(200)
    expect((await as('zeta', 'POST', 'tasks/acme/t/generate', { input: 'x' })).statusCode).toBe(404)
    const adapters = [{ name: 'acme/a' }]
    expect((await as('zeta', 'POST', 'tasks/extract/generate', { input: 'x', adapters })).statusCode).toBe(404)
    const version = [{ name: 'acme/a', version: 'v1' }]
    expect((await as('zeta', 'POST', 'tasks/extract/generate', { input: 'x', adapters: version })).statusCode).toBe(404)
    const { data } = (await as('zeta', 'GET', 'models')).json<{ data: { id: string }[] }>()
    expect(data.map(({ id }) => id)).toEqual(['fake-base', 'extract', 'json', 'json@v1', 'json@v2'])
  })
})
