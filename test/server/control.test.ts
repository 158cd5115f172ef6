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
})
afterEach(() => fake.app.close())

async function as(key: string, method: 'GET' | 'POST' | 'PATCH', path: string, payload?: object) {
  return fake.call({ method, url: `/v1/${path}`, headers: { 'x-api-key': key }, ...(payload ? { payload } : {}) })
}

describe('POST /v1/adapters/plan', () => {
  it('answers in wire form and hides what the key cannot see', async () => {
    const response = await as('k', 'POST', 'adapters/plan', { adapters: [{ name: 'json', version: 'v2' }] })
    expect(response.json()).toMatchObject({
      fits: false,
      adapters: [{ name: 'json', version: 'v2', tier: 'cold', load_ms: 1 }],
      memory: { fits: true, evicts: [{ name: 'json', version: 'v2' }], evicts_others: 1 },
      device: { fits: false },
    })
    expect(response.body).not.toContain('secret')
    expect((await as('k', 'POST', 'adapters/plan', { adapters: [] })).statusCode).toBe(400)
    expect((await as('k', 'POST', 'adapters/plan', { adapters: [{ name: 'zeta/x' }] })).statusCode).toBe(404)
  })
})

describe('vLLM’s calls', () => {
  it('load from the store, in a tenant’s own folder, and unload', async () => {
    const loaded = await as('k', 'POST', 'load_lora_adapter', { lora_name: 'acme/new', lora_path: 'import/acme/x' })
    expect([loaded.statusCode, loaded.body]).toEqual([200, "Success: LoRA adapter 'acme/new' added successfully."])
    await as('admin', 'POST', 'load_lora_adapter', { lora_name: 'other', lora_path: '/s/x', load_inplace: false })
    expect(fake.registry.imports).toEqual([
      ['acme/new', 'import/acme/x', 'import/acme'],
      ['other', '/s/x', ''],
    ])
    const again = { lora_name: 'acme/new', lora_path: 'x' }
    const refused = await as('k', 'POST', 'load_lora_adapter', again)
    expect(refused.json()).toMatchObject({ error: { code: 'invalid_request', param: 'lora_name' } })
    expect((await as('k', 'POST', 'load_lora_adapter', { ...again, load_inplace: true })).statusCode).toBe(200)
    const unloaded = await as('k', 'POST', 'unload_lora_adapter', { lora_name: 'acme/new', lora_int_id: 3 })
    expect([unloaded.statusCode, unloaded.body]).toEqual([
      200,
      "Success: LoRA adapter 'acme/new' removed successfully.",
    ])
    expect(fake.registry.drainSeconds).toBe(30)
  })

  it('refuse others’ names, missing fields and names that are not there', async () => {
    expect((await as('k', 'POST', 'load_lora_adapter', { lora_name: 'json', lora_path: 'x' })).statusCode).toBe(403)
    expect((await as('k', 'POST', 'unload_lora_adapter', { lora_name: 'json' })).statusCode).toBe(403)
    expect((await as('k', 'POST', 'load_lora_adapter', { lora_name: 'acme/b' })).statusCode).toBe(400)
    expect((await as('k', 'POST', 'unload_lora_adapter', { lora_name: 'acme/none' })).statusCode).toBe(404)
    expect(fake.registry.imports).toEqual([])
  })
})

describe('notes', () => {
  it('are changed by their owner and shown', async () => {
    const patched = await as('k', 'PATCH', 'adapters/acme%2Fa', { description: 'd', labels: { s: 't' }, pinned: true })
    expect(patched.json()).toMatchObject({ description: 'd', labels: { s: 't' }, pinned: true })
    const version = await as('k', 'PATCH', 'adapters/acme/a/versions/v1', { labels: { s: 'u' } })
    expect(version.json()).toMatchObject({ version: 'v1', labels: { s: 'u' }, description: '' })
    expect((await as('k', 'PATCH', 'adapters/json', {})).statusCode).toBe(403)
    expect((await as('k', 'PATCH', 'adapters/acme%2Fa', { digest: 'x' })).statusCode).toBe(400)
    expect((await as('k', 'POST', 'adapters/acme/a/versions/v1/retry')).json()).toMatchObject({ state: 'ready' })
    expect((await as('k', 'POST', 'adapters/json/versions/v1/retry')).statusCode).toBe(403)
  })

  it('come with an upload as text fields; an upload shows while it runs, and a refused one stays with its reason', async () => {
    const body = (fields: Record<string, string>, file: string): string =>
      [
        ...Object.entries(fields).map(([name, value]) => `name="${name}"\r\n\r\n${value}`),
        `name="f"; filename="a"\r\n\r\n${file}`,
      ]
        .map((part) => `--b\r\ncontent-disposition: form-data; ${part}\r\n`)
        .join('') + '--b--\r\n'
    const headers = { 'x-api-key': 'k', 'content-type': 'multipart/form-data; boundary=b' }
    const send = (fields: Record<string, string>, file: string) =>
      fake.call({ method: 'POST', url: '/v1/adapters/acme%2Fa/versions', headers, payload: body(fields, file) })
    const good = await send({ description: 'hello', labels: '{"a":"b"}' }, 'weights')
    expect([good.statusCode, good.json()]).toMatchObject([201, { description: 'hello', labels: { a: 'b' } }])
    for (const labels of ['{', '[]', '{"a":1}', '{"a b":"x"}'])
      expect((await send({ labels }, 'weights')).json()).toMatchObject({ error: { code: 'invalid_request' } })
    expect((await send({ other: 'x' }, 'weights')).json()).toMatchObject({ error: { param: 'other' } })
    expect(fake.registry.pending.records()).toEqual([])
    expect((await send({}, '')).statusCode).toBe(400)
    expect(fake.registry.pending.records()).toMatchObject([
      { adapter: 'acme/a', state: 'rejected', reason: 'invalid_adapter: the files are empty' },
    ])
  })
})
