import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { FakeHost } from '../support/fake-host.ts'
import { testApp } from '../support/test-app.ts'
import type { AdapterFixture } from '../support/tiny-adapters.ts'
import { readTiny, tinyLora, writeAdapter } from '../support/tiny-adapters.ts'
import { tinyInfo } from '../support/tiny-model.ts'
import type { TestApp } from '../support/test-app.ts'

let served: TestApp

beforeEach(async () => {
  served = await testApp({
    tenants: [
      { name: 'acme', keys: ['k'] },
      { name: 'ops', keys: ['admin'], role: 'admin' as const },
    ],
    empty: true,
    host: new FakeHost(tinyInfo()),
    reader: async (dir) => readTiny(dir),
    memoryBytes: 1_000_000,
    settings: { uploadLimitBytes: 100_000 },
  })
  await add('acme/a', tinyLora(['q_proj'], 2))
  await add('json', tinyLora(['v_proj'], 2))
  await add('zeta/b', tinyLora(['k_proj'], 2))
})
afterEach(() => served.app.close())

async function add(name: string, fixture: AdapterFixture): Promise<void> {
  const staging = await served.rooms.intake.stage()
  writeAdapter(staging.dir, fixture)
  await served.rooms.intake.add(name, staging, { source: 'upload', by: 'tests' })
}

async function names(): Promise<string[]> {
  return served.rooms.catalogue.listAdapters('*').map(({ name }) => name)
}

async function merge(name: string, payload: object | string, key = 'k') {
  const headers = { 'x-api-key': key, 'content-type': 'application/json' }
  return served.call({ method: 'POST', url: `/v1/adapters/${encodeURIComponent(name)}/merges`, headers, payload })
}

const BEFORE = ['acme/a', 'json', 'zeta/b']

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
      ...{ description: 'linear of acme/a@v1 × 0.5, json@v1 × -1', labels: { stage: 'try' } },
    })
    expect((await merge('acme/new', TWO)).statusCode).toBe(200)
    const described = await merge('acme/other', { ...TWO, description: 'ours' })
    expect(described.json()).toMatchObject({ description: 'ours' })
    const text = await served.metrics.render()
    expect(text).toContain('troupe_adapter_uploads_total{result="created"} 2')
    expect(text).toContain('troupe_adapter_uploads_total{result="known"} 1')
  })

  it('needs the right to write the name, and to see every source', async () => {
    expect((await merge('zeta/new', TWO)).json()).toMatchObject({ error: { code: 'adapter_not_found' } })
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
    expect(await names()).toEqual(BEFORE)
    expect((await merge('acme/new', foreign, 'admin')).statusCode).toBe(201)
    expect(await names()).toEqual(['acme/a', 'acme/new', 'json', 'zeta/b'])
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
    expect(await names()).toEqual(BEFORE)
  })
})
