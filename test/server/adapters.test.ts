import { readFile, readdir } from 'node:fs/promises'
import http from 'node:http'
import { dirname, join } from 'node:path'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { FolderReport } from '../../src/intake/folder-report.ts'
import { storedWeights, testApp, weightsFile } from '../support/test-app.ts'
import type { TestApp } from '../support/test-app.ts'
import { zipOf } from '../support/zip-writer.ts'

let served: TestApp
let base: string

beforeEach(async () => {
  served = await testApp({
    tenants: [
      { name: 'acme', keys: ['k'] },
      { name: 'ops', keys: ['admin'], role: 'admin' as const },
    ],
  })
  await served.app.listen({ port: 0, host: '127.0.0.1' })
  base = `http://127.0.0.1:${(served.app.server.address() as AddressInfo).port}/v1/adapters`
})
afterEach(() => served.app.close())

/** Uploads that are not over. */
async function staged(): Promise<string[]> {
  return readdir(join(served.storeDir, '.staging'))
}

async function upload(name: string, files: Record<string, string | Uint8Array>, key = 'k'): Promise<Response> {
  const form = new FormData()
  for (const [file, content] of Object.entries(files)) {
    form.append('files', new Blob([typeof content === 'string' ? content : new Uint8Array(content)]), file)
  }
  return fetch(`${base}/${name}/versions`, { method: 'POST', body: form, headers: { 'x-api-key': key } })
}

async function as(key: string, method: 'GET' | 'DELETE', path = '') {
  return served.call({ method, url: `/v1/adapters${path}`, headers: { 'x-api-key': key } })
}

const FILES = { 'adapter_config.json': '{}', 'adapter_model.safetensors': weightsFile('eeee') }

describe('versions', () => {
  it('are listed by pages, and by state', async () => {
    await served.addAdapter('acme/many', 'dddd', 'eeee', 'ffff')
    const held = await served.rooms.residency.acquire(served.rooms.catalogue.resolve({ model: 'acme/many@v2' }, '*'))
    expect((await as('k', 'DELETE', '/acme/many/versions/v2')).statusCode).toBe(202)
    const list = async (query: string) =>
      (await as('k', 'GET', `/acme/many/versions${query}`)).json<{ data: { version: string }[]; next: string | null }>()
    const names = (body: { data: { version: string }[] }): string[] => body.data.map(({ version }) => version)
    const first = await list('?limit=1&state=ready')
    expect([names(first), typeof first.next]).toEqual([['v1'], 'string'])
    const second = await list(`?limit=1&state=ready&after=${encodeURIComponent(first.next ?? '')}`)
    expect([names(second), second.next]).toEqual([['v3'], null])
    expect(names(await list('?state=draining'))).toEqual(['v2'])
    const { data, next } = await list('')
    expect([data.length, next]).toEqual([3, null])
    held.release()
    expect((await as('k', 'GET', '/acme/many/versions?state=lost')).statusCode).toBe(400)
    expect((await as('k', 'GET', '/acme/none/versions')).statusCode).toBe(404)
  })
})

describe('uploads', () => {
  it('stages every file and answers with the new version, or the one these bytes are already', async () => {
    const first = await upload('acme%2Fnew', FILES)
    expect(first.status).toBe(201)
    expect(await first.json()).toMatchObject({
      adapter: 'acme/new',
      version: 'v1',
      state: 'ready',
      method: 'lora',
      rank: 8,
      bytes: 512,
      probe: { max_difference: 0.5, kl: expect.any(Number) as number },
    })
    const stored = dirname(storedWeights(served, 'acme/new', 1))
    for (const [file, content] of Object.entries(FILES))
      expect(await readFile(join(stored, file), 'utf8')).toBe(content)
    const detail = await as('k', 'GET', '/acme%2Fnew/versions/v1')
    expect(detail.json()).toMatchObject({
      proof: {
        parameters: 128,
        sites: [{ site: 'layers.0.q_proj', norm: 0 }],
        merged: { deviation: null, tolerance: null, reason: expect.any(String) as string },
      },
    })
    const again = await upload('acme/new', FILES)
    expect(again.status).toBe(200)
    expect(await again.json()).toMatchObject({ version: 'v1' })
    const text = await served.metrics.render()
    expect(text).toContain('troupe_adapter_uploads_total{result="created"} 1')
    expect(text).toContain('troupe_adapter_uploads_total{result="known"} 1')
  })

  it('take a trainer’s whole folder, or an archive of it, and say what became of every file', async () => {
    const folder = { ...FILES, 'training_args.bin': 'p', 'out/checkpoint-500/optimizer.pt': 'q' }
    const loose = await upload('acme%2Fnew', folder)
    expect(loose.status).toBe(201)
    const { report } = (await loose.json()) as { report: FolderReport }
    expect(report.took.map(({ file }) => file)).toEqual(Object.keys(FILES))
    expect(report.ignored.map(({ file }) => file)).toEqual(['out/', 'training_args.bin'])
    const zip = zipOf(Object.entries(folder).map(([name, text]) => ({ name: `a/${name}`, content: Buffer.from(text) })))
    const packed = await upload('acme%2Fpacked', { 'adapter.zip': zip })
    expect([packed.status, ((await packed.json()) as { report: FolderReport }).report]).toEqual([201, report])
    const headers = { 'x-api-key': 'k', 'content-type': 'application/zip' }
    const url = `${base}/acme%2Fbare/versions`
    const bare = await fetch(url, { method: 'POST', body: new Uint8Array(zip), headers })
    expect([bare.status, ((await bare.json()) as { report: FolderReport }).report]).toEqual([201, report])
    const broken = await fetch(url, { method: 'POST', body: 'no archive', headers })
    expect(await broken.json()).toMatchObject({ error: { code: 'invalid_request' } })
  })

  it('counts all files together against the limit, and keeps nothing', async () => {
    const large = await upload('acme%2Fnew', { 'a.json': 'x'.repeat(3000), 'b.json': 'x'.repeat(3000) })
    expect(large.status).toBe(413)
    expect(await large.json()).toMatchObject({ error: { code: 'upload_too_large' } })
    expect(await staged()).toEqual([])
    expect((await upload('acme%2Fnew', { 'a.json': 'x'.repeat(200_000) })).status).toBe(413)
  })

  it('refuses other people’s names, empty forms, text fields and bodies that are no forms', async () => {
    expect((await upload('json', FILES)).status).toBe(403)
    expect((await upload('zeta%2Fa', FILES)).status).toBe(404)
    expect((await upload('json', FILES, 'admin')).status).toBe(201)
    expect((await upload('acme%2Fnew', {})).status).toBe(400)
    const form = new FormData()
    form.append('config', 'text')
    const headers = { 'x-api-key': 'k' }
    const field = await fetch(`${base}/acme%2Fnew/versions`, { method: 'POST', body: form, headers })
    expect(await field.json()).toMatchObject({ error: { code: 'invalid_request', param: 'config' } })
    const jsonHeaders = { ...headers, 'content-type': 'application/json' }
    const json = await fetch(`${base}/acme%2Fnew/versions`, { method: 'POST', body: '{}', headers: jsonHeaders })
    expect(await json.json()).toMatchObject({ error: { code: 'invalid_request', param: 'source' } })
    const none = await fetch(`${base}/acme%2Fnew/versions`, { method: 'POST', headers })
    expect(none.status).toBe(415)
  })

  it('forgets what came when the registry refuses it or the client leaves', async () => {
    const refused = await upload('acme%2Fnew', { ...FILES, 'adapter_model.safetensors': '?' })
    expect(refused.status).toBe(400)
    expect(await refused.json()).toMatchObject({ error: { code: 'invalid_adapter' } })
    expect(await staged()).toEqual([])
    const headers = { 'x-api-key': 'k', 'content-type': 'multipart/form-data; boundary=b' }
    const request = http.request(`${base}/acme%2Fnew/versions`, { method: 'POST', headers })
    request.on('error', () => {})
    request.write('--b\r\ncontent-disposition: form-data; name="f"; filename="adapter_config.json"\r\n\r\nhalf')
    await expect.poll(staged).toHaveLength(1)
    request.destroy()
    await expect.poll(staged).toEqual([])
  })
})

describe('/v1/adapters', () => {
  it('lists pages by name, with a prefix', async () => {
    for (const [name, label] of [
      ['c', 'c'],
      ['a', 'a'],
      ['b', 'b'],
      ['acme/x', 'e'],
    ] as const)
      await served.addAdapter(name, label)
    const page = async (query: string) =>
      (await as('admin', 'GET', query)).json<{ data: { name: string }[]; next: string | null }>()
    const first = await page('?limit=2')
    expect(first).toMatchObject({ data: [{ name: 'a' }, { name: 'acme/x' }], next: 'acme/x' })
    const second = await page(`?limit=3&after=${encodeURIComponent(first.next ?? '')}`)
    expect(second).toMatchObject({ data: [{ name: 'b' }, { name: 'c' }, { name: 'json' }], next: null })
    expect((await page('?prefix=acme/')).data).toHaveLength(1)
  })

  it('shows an adapter and one version', async () => {
    expect((await as('k', 'GET', '/json')).json()).toMatchObject({
      name: 'json',
      versions: [{ version: 'v1' }, { version: 'v2' }],
    })
    expect((await as('k', 'GET', '/json/versions/2')).json()).toMatchObject({ version: 'v2' })
    expect((await as('k', 'GET', '/json/versions/v9')).json()).toMatchObject({ error: { code: 'version_not_found' } })
    expect((await as('k', 'GET', '/nope')).json()).toMatchObject({ error: { code: 'adapter_not_found' } })
  })

  it('deletes at once, or when the last request has ended, but nothing a task routes to', async () => {
    await served.addAdapter('acme/x', 'eeee', 'ffff')
    expect((await as('k', 'DELETE', '/json')).statusCode).toBe(403)
    expect((await as('admin', 'DELETE', '/json')).json()).toMatchObject({ error: { code: 'adapter_in_use' } })
    expect((await as('k', 'DELETE', '/acme%2Fx/versions/v1')).statusCode).toBe(204)
    const held = await served.rooms.residency.acquire(served.rooms.catalogue.resolve({ model: 'acme/x' }, '*'))
    const before = Date.now()
    const draining = await as('k', 'DELETE', '/acme%2Fx?drain_seconds=20')
    expect([draining.statusCode, draining.json()]).toMatchObject([202, { status: 'draining', holders: 1 }])
    const seconds = (Date.parse(draining.json<{ deadline: string }>().deadline) - before) / 1000
    expect(Math.round(seconds)).toBe(20)
    held.release()
    expect((await as('k', 'GET', '/acme%2Fx')).statusCode).toBe(404)
    for (const wrong of ['-1', '3601', 'x'])
      expect((await as('k', 'DELETE', `/acme%2Fx?drain_seconds=${wrong}`)).json()).toMatchObject({
        error: { code: 'invalid_request', param: 'drain_seconds' },
      })
  })
})
