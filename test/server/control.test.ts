import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { dropFake } from '../support/fake-adapter.ts'
import { VERSION_BYTES, testApp, weightsFile } from '../support/test-app.ts'
import type { TestApp } from '../support/test-app.ts'

let served: TestApp

const TENANTS = [
  { name: 'acme', keys: ['k'] },
  { name: 'ops', keys: ['admin'], role: 'admin' as const },
]

/** Puts an adapter's files into a folder of the store, as a person would. */
async function put(folder: string, label: string): Promise<void> {
  await dropFake(join(served.storeDir, folder), weightsFile(label))
}

beforeEach(async () => {
  served = await testApp({ tenants: TENANTS })
  await served.addAdapter('acme/a', 'cccc')
})
afterEach(() => served.app.close())

async function as(key: string, method: 'GET' | 'POST' | 'PATCH', path: string, payload?: object) {
  return served.call({ method, url: `/v1/${path}`, headers: { 'x-api-key': key }, ...(payload ? { payload } : {}) })
}

describe('POST /v1/adapters/plan', () => {
  it('answers in wire form and hides what the key cannot see', async () => {
    await served.app.close()
    served = await testApp({ tenants: TENANTS, memoryBytes: 3 * VERSION_BYTES })
    await served.addAdapter('zeta/secret', 'cccc')
    await served.addAdapter('acme/a', 'dddd')
    const ask = async (adapters: object[]) => as('k', 'POST', 'adapters/plan', { adapters })
    const response = await ask([{ name: 'json', version: 'v1' }, { name: 'json' }])
    expect(response.json()).toMatchObject({
      fits: true,
      adapters: [
        { name: 'json', version: 'v1', tier: 'cold', bytes: VERSION_BYTES },
        { name: 'json', version: 'v2', tier: 'hot', load_ms: 0 },
      ],
      memory: { fits: true, needed_bytes: VERSION_BYTES, evicts: [], evicts_others: 1 },
    })
    expect(response.body).not.toContain('secret')
    expect((await ask([])).statusCode).toBe(400)
    expect((await ask([{ name: 'zeta/x' }])).statusCode).toBe(404)
  })
})

describe('vLLM’s calls', () => {
  it('load from the store, in a tenant’s own folder, and unload', async () => {
    await put('import/acme/x', 'dddd')
    await put('import/y', 'eeee')
    const load = (key: string, body: object) => as(key, 'POST', 'load_lora_adapter', body)
    const loaded = await load('k', { lora_name: 'acme/new', lora_path: 'import/acme/x' })
    expect([loaded.statusCode, loaded.body]).toEqual([200, "Success: LoRA adapter 'acme/new' added successfully."])
    const absolute = { lora_name: 'other', lora_path: join(served.storeDir, 'import/y'), load_inplace: false }
    expect((await load('k', { ...absolute, lora_name: 'acme/other' })).json()).toMatchObject({
      error: { code: 'invalid_request', param: 'lora_path' },
    })
    expect((await load('admin', absolute)).statusCode).toBe(200)
    expect(served.rooms.catalogue.listAdapters('*').map(({ name }) => name)).toEqual([
      'acme/a',
      'acme/new',
      'json',
      'other',
    ])
    const again = { lora_name: 'acme/new', lora_path: 'import/acme/x' }
    expect((await load('k', again)).json()).toMatchObject({ error: { code: 'invalid_request', param: 'lora_name' } })
    expect((await load('k', { ...again, load_inplace: true })).statusCode).toBe(200)
    const unloaded = await as('k', 'POST', 'unload_lora_adapter', { lora_name: 'acme/new', lora_int_id: 3 })
    expect([unloaded.statusCode, unloaded.body]).toEqual([
      200,
      "Success: LoRA adapter 'acme/new' removed successfully.",
    ])
    expect((await as('k', 'GET', 'adapters/acme/new')).statusCode).toBe(404)
  })

  it('refuse others’ names, missing fields and names that are not there', async () => {
    expect((await as('k', 'POST', 'load_lora_adapter', { lora_name: 'json', lora_path: 'x' })).statusCode).toBe(403)
    expect((await as('k', 'POST', 'unload_lora_adapter', { lora_name: 'json' })).statusCode).toBe(403)
    expect((await as('k', 'POST', 'load_lora_adapter', { lora_name: 'acme/b' })).statusCode).toBe(400)
    expect((await as('k', 'POST', 'unload_lora_adapter', { lora_name: 'acme/none' })).statusCode).toBe(404)
    const outside = { lora_name: 'acme/b', lora_path: `../${'x'.repeat(300)}` }
    expect((await as('k', 'POST', 'load_lora_adapter', outside)).statusCode).toBe(400)
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
        'name="f"; filename="adapter_config.json"\r\n\r\n{}',
        `name="f"; filename="adapter_model.safetensors"\r\n\r\n${file}`,
      ]
        .map((part) => `--b\r\ncontent-disposition: form-data; ${part}\r\n`)
        .join('') + '--b--\r\n'
    const headers = { 'x-api-key': 'k', 'content-type': 'multipart/form-data; boundary=b' }
    const send = (fields: Record<string, string>, file: string) =>
      served.call({ method: 'POST', url: '/v1/adapters/acme%2Fa/versions', headers, payload: body(fields, file) })
    const good = await send({ description: 'hello', labels: '{"a":"b"}' }, weightsFile('ffff'))
    expect([good.statusCode, good.json()]).toMatchObject([201, { description: 'hello', labels: { a: 'b' } }])
    for (const labels of ['{', '[]', '{"a":1}', '{"a b":"x"}'])
      expect((await send({ labels }, weightsFile('ffff'))).json()).toMatchObject({ error: { code: 'invalid_request' } })
    expect((await send({ other: 'x' }, weightsFile('ffff'))).json()).toMatchObject({ error: { param: 'other' } })
    const versions = async () => (await as('k', 'GET', 'adapters/acme/a')).json<{ versions: object[] }>().versions
    expect(await versions()).toMatchObject([{ state: 'ready' }, { state: 'ready' }])
    expect((await send({}, '?')).statusCode).toBe(400)
    const reason = 'invalid_adapter: adapter_model.safetensors: the header is broken'
    expect(await versions()).toContainEqual(expect.objectContaining({ state: 'rejected', reason }))
  })
})
