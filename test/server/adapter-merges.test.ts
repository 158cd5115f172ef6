import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { fakeApp } from '../support/fake-app.ts'
import type { FakeApp } from '../support/fake-app.ts'

let fake: FakeApp

beforeEach(async () => {
  fake = await fakeApp({
    tenants: [
      { name: 'acme', keys: ['k'] },
      { name: 'ops', keys: ['admin'], admin: true },
    ],
  })
  fake.registry.addAdapter('acme/a', 'cccc')
  fake.registry.addAdapter('zeta/b', 'dddd')
})
afterEach(() => fake.app.close())

async function merge(name: string, payload: object | string, key = 'k') {
  const headers = { 'x-api-key': key, 'content-type': 'application/json' }
  return fake.call({ method: 'POST', url: `/v1/adapters/${encodeURIComponent(name)}/merges`, headers, payload })
}

const TWO = {
  combination: 'linear',
  adapters: [
    { name: 'acme/a', weight: 0.5 },
    { name: 'json', version: 'v1', weight: -1 },
  ],
}

describe('POST /v1/adapters/{name}/merges', () => {
  it('answers like an upload, with what was merged unless something else is said', async () => {
    const first = await merge('acme/new', { ...TWO, labels: { stage: 'try' } })
    expect(first.statusCode, first.body).toBe(201)
    expect(first.json()).toMatchObject({
      ...{ adapter: 'acme/new', version: 'v1', state: 'ready' },
      ...{ description: 'acme/a@v1 + json@v1', labels: { stage: 'try' } },
    })
    const adapters = [
      { name: 'acme/a', weight: 0.5 },
      { name: 'json', version: 1, weight: -1 },
    ]
    expect(fake.registry.merges).toEqual([{ combination: 'linear', adapters, limitBytes: 4096 }])
    expect((await merge('acme/new', TWO)).statusCode).toBe(200)
    const described = await merge('acme/other', { ...TWO, description: 'ours' })
    expect(described.json()).toMatchObject({ description: 'ours' })
    const text = await fake.metrics.render()
    expect(text).toContain('troupe_adapter_uploads_total{result="created"} 2')
    expect(text).toContain('troupe_adapter_uploads_total{result="known"} 1')
  })

  it('needs the right to write the name, and to see every source', async () => {
    expect((await merge('zeta/new', TWO)).json()).toMatchObject({ error: { code: 'forbidden' } })
    expect((await merge('json', TWO)).statusCode).toBe(403)
    const foreign = { ...TWO, adapters: [{ name: 'zeta/b', weight: 1 }] }
    for (const adapter of [
      { name: 'zeta/b', weight: 1 },
      { name: 'zeta/b', version: 'v1', weight: 1 },
    ]) {
      // prettier-ignore
      const refused = await merge('acme/new', { ...TWO, adapters: [adapter] })
      expect([refused.statusCode, refused.json()]).toMatchObject([404, { error: { code: 'adapter_not_found' } }])
    }
    expect(fake.registry.merges).toEqual([])
    expect((await merge('acme/new', foreign, 'admin')).statusCode).toBe(201)
    expect(fake.registry.pending.records()).toEqual([])
  })

  it.each([
    ['combination', { ...TWO, combination: 'ties' }],
    ['adapters', { ...TWO, adapters: [] }],
    ['adapters', { ...TWO, adapters: Array.from({ length: 17 }, () => ({ name: 'acme/a', weight: 1 })) }],
    ['adapters', { ...TWO, adapters: [{ name: 'acme/a' }] }],
    ['adapters', { ...TWO, adapters: [{ name: 'acme/a', weight: 'much' }] }],
    ['adapters', JSON.stringify(TWO).replace('-1', '1e999')],
    ['density', { ...TWO, density: 0.5 }],
    ['labels', { ...TWO, labels: { 'a b': 'x' } }],
  ])('refuses a wrong %s', async (param, payload) => {
    const refused = await merge('acme/new', payload)
    expect([refused.statusCode, refused.json()]).toMatchObject([
      400,
      { error: { code: 'invalid_request', param: expect.stringContaining(param) as string } },
    ])
    expect(fake.registry.merges).toEqual([])
  })
})
