import http from 'node:http'
import type { AddressInfo } from 'node:net'
import net from 'node:net'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { testApp, weightsFile } from '../support/test-app.ts'
import type { TestApp } from '../support/test-app.ts'

let served: TestApp
let port: number

beforeAll(async () => {
  served = await testApp({
    tenants: [{ name: 'acme', keys: ['k'] }],
    settings: { bodyLimitBytes: 64 * 1024, uploadLimitBytes: 2 ** 20 },
  })
  await served.app.listen({ port: 0, host: '127.0.0.1' })
  port = (served.app.server.address() as AddressInfo).port
})
afterAll(() => served.app.close())

const GENERATE = '/v1/tasks/extract/generate'
const KEY = { 'x-api-key': 'k' }
const JSON_TYPE = { ...KEY, 'content-type': 'application/json' }

interface ErrorBody {
  readonly error: { readonly message: string; readonly code: string; readonly param: string | null }
}

async function post(payload: string | Buffer, headers: Record<string, string>, url = GENERATE) {
  return served.call({ method: 'POST', url, headers: { ...KEY, ...headers }, payload })
}

describe('bodies', () => {
  it.each([
    ['gzip', gzipSync],
    ['br', brotliCompressSync],
  ])('may be packed with %s, within the limit', async (encoding, pack) => {
    const headers = { ...JSON_TYPE, 'content-encoding': encoding }
    const good = await post(pack(JSON.stringify({ input: 'hi' })), headers)
    expect([good.statusCode, good.json()]).toMatchObject([200, { choices: [{ text: 'aaaa(T:hi!)' }] }])
    const bomb = await post(pack(Buffer.alloc(4 * 2 ** 20, 32)), headers)
    expect([bomb.statusCode, bomb.json()]).toMatchObject([413, { error: { code: 'upload_too_large' } }])
    const broken = await post('{"input": "hi"}', headers)
    expect([broken.statusCode, broken.json<ErrorBody>().error.message]).toMatchObject([400, /content-encoding/])
  })

  it('are refused when nobody can unpack them', async () => {
    const response = await post('x', { ...JSON_TYPE, 'content-encoding': 'compress' })
    expect([response.statusCode, response.json<ErrorBody>().error.message]).toMatchObject([415, /gzip, deflate, br/])
  })

  it.each([
    ['{"input": ', 400, /not valid JSON/],
    ['{"__proto__": {"a": 1}}', 400, /`__proto__` is no name for a field/],
    ['', 400, /the body is missing: send a JSON object/],
  ])('%j: what is wrong is said in words', async (payload, status, message) => {
    const response = await post(payload, JSON_TYPE)
    expect([response.statusCode, response.json<ErrorBody>().error.message]).toMatchObject([status, message])
  })

  it('need a media type, which the refusal names', async () => {
    const form = await post('{"input": "hi"}', { ...KEY, 'content-type': 'application/x-www-form-urlencoded' })
    expect([form.statusCode, form.json<ErrorBody>().error.message]).toMatchObject([
      415,
      /content-type: application\/json/,
    ])
  })

  it('may be absent where none is read, whatever media type is announced', async () => {
    const rollback = await served.call({ method: 'POST', url: '/v1/tasks/nope/rollback', headers: JSON_TYPE })
    expect(rollback.json()).toMatchObject({ error: { code: 'forbidden' } })
    const removed = await served.call({ method: 'DELETE', url: '/v1/tasks/acme%2Fx', headers: JSON_TYPE })
    expect([removed.statusCode, removed.json()]).toMatchObject([404, { error: { code: 'task_not_found' } }])
  })
})

describe('paths and queries', () => {
  it('may end with a slash', async () => {
    expect((await served.call({ url: '/v1/models/', headers: KEY })).statusCode).toBe(200)
    const payload = { model: 'json', prompt: 'x' }
    expect((await served.call({ method: 'POST', url: '/v1/completions/', headers: KEY, payload })).statusCode).toBe(200)
  })

  it.each(['true', '0x5', '1e2', ' 5', ''])('take no %j for a number', async (limit) => {
    const response = await served.call({ url: `/v1/adapters?limit=${encodeURIComponent(limit)}`, headers: KEY })
    expect([response.statusCode, response.json()]).toMatchObject([400, { error: { param: 'limit' } }])
  })

  it('name the methods that they take, and refuse others before their body', async () => {
    const plan = await served.call({ method: 'PUT', url: '/v1/adapters/plan', headers: JSON_TYPE, payload: {} })
    expect([plan.statusCode, plan.headers.allow]).toEqual([405, 'POST'])
    const query = await served.call({ method: 'QUERY', url: '/health' })
    expect([query.statusCode, query.headers.allow]).toEqual([405, 'GET, HEAD'])
  })

  it('take numbers as JSON writes them', async () => {
    const url = (seconds: string) => `/v1/adapters/json/versions/v9?drain_seconds=${seconds}`
    for (const [seconds, status] of [
      ['1e1', 403],
      ['5E-324', 403],
      ['0x5', 400],
      ['1e', 400],
    ] as const)
      // prettier-ignore
      expect([seconds, (await served.call({ method: 'DELETE', url: url(seconds), headers: KEY })).statusCode]).toEqual([
        seconds,
        status,
      ])
  })

  it('say which labels and names there can be', async () => {
    const labels = { labels: { 'a b': 'c' } }
    const patched = await served.call({
      method: 'PATCH',
      url: '/v1/adapters/json',
      headers: JSON_TYPE,
      payload: labels,
    })
    expect([patched.statusCode, patched.json()]).toMatchObject([400, { error: { param: 'labels.a b' } }])
    const long = await served.call({ method: 'GET', url: `/v1/models/${'a'.repeat(257)}`, headers: KEY })
    expect([long.statusCode, long.json<ErrorBody>().error.param]).toEqual([400, 'model'])
  })

  it('take no word for a version', async () => {
    const response = await served.call({ url: '/v1/adapters/json/versions/true', headers: KEY })
    expect([response.statusCode, response.json()]).toMatchObject([400, { error: { param: 'version' } }])
  })
})

describe('probes of other servers’ clients', () => {
  it('answer without a key', async () => {
    expect((await served.call({ url: '/health' })).statusCode).toBe(200)
    expect((await served.call({ url: '/ping' })).json()).toEqual({ status: 'ok' })
    expect((await served.call({ url: '/version' })).json()).toMatchObject({ version: /^\d+\.\d+\.\d+/ })
  })
})

describe('forms', () => {
  const part = (name: string, content: string): string =>
    `--b\r\ncontent-disposition: form-data; name="f"; filename="${name}"\r\n\r\n${content}\r\n`
  const whole = `${part('adapter_config.json', '{}')}${part('adapter_model.safetensors', weightsFile('cccc'))}--b--\r\n`

  it.each([
    ['without a boundary', 'multipart/form-data', whole],
    ['with another boundary', 'multipart/form-data; boundary=c', whole],
    ['cut off', 'multipart/form-data; boundary=b', whole.slice(0, -30)],
    ['with plain line feeds', 'multipart/form-data; boundary=b', whole.replaceAll('\r\n', '\n')],
    ['that are empty', 'multipart/form-data; boundary=b', ''],
  ])('%s are refused as malformed', async (_what, type, payload) => {
    const response = await post(payload, { ...KEY, 'content-type': type }, '/v1/adapters/acme%2Fa/versions')
    expect(response.statusCode, response.body).toBe(400)
    expect(response.json<ErrorBody>().error.message.length).toBeGreaterThan(20)
  })
})

describe('a refusal before the body has arrived', () => {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
  afterAll(() => agent.destroy())

  /** Sends all of a body before it looks at the answer, as Python's clients do. */
  function send(
    path: string,
    headers: Record<string, string>,
    bytes: number,
  ): Promise<{ status: number; text: string }> {
    return new Promise((resolve, reject) => {
      const request = http.request({
        port,
        path,
        method: 'POST',
        agent,
        headers: { ...headers, 'content-length': bytes },
      })
      request.on('error', reject)
      request.on('response', (response) => {
        let text = ''
        response.on('data', (chunk: Buffer) => (text += chunk.toString()))
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
        response.on('error', reject)
      })
      const chunk = Buffer.alloc(2 ** 16, 120)
      const write = (left: number): void => {
        if (left <= 0) request.end()
        else request.write(chunk.subarray(0, Math.min(left, chunk.length)), () => write(left - chunk.length))
      }
      write(bytes)
    })
  }

  it.each([
    ['a wrong key', GENERATE, { 'x-api-key': 'wrong', 'content-type': 'application/json' }, 401],
    ['a body that is too large', GENERATE, JSON_TYPE, 413],
    [
      'an upload that is too large',
      '/v1/adapters/acme%2Fa/versions',
      { ...KEY, 'content-type': 'application/zip' },
      413,
    ],
    [
      'a foreign name',
      '/v1/adapters/json/versions',
      { ...KEY, 'content-type': 'multipart/form-data; boundary=b' },
      403,
    ],
    [
      'a form that is none',
      '/v1/adapters/acme%2Fa/versions',
      { ...KEY, 'content-type': 'multipart/form-data; boundary=b' },
      413,
    ],
  ])('%s can be read, and the next request on the connection works', async (_what, path, headers, status) => {
    const refused = await send(path, headers, 24 * 2 ** 20)
    expect([refused.status, (JSON.parse(refused.text) as ErrorBody).error.message.length > 10]).toEqual([status, true])
    const next = await send(GENERATE, { ...JSON_TYPE }, 0)
    expect(next.status).toBe(400)
  })

  it('is answered and the connection ended where far too much is announced', async () => {
    const socket = net.connect(port, '127.0.0.1')
    let answer = ''
    socket.on('data', (data) => (answer += data.toString()))
    const closed = new Promise((resolve) => socket.once('end', resolve))
    const head = `POST ${GENERATE} HTTP/1.1\r\nhost: x\r\nx-api-key: k\r\ncontent-type: application/json\r\ncontent-length: ${2 ** 31}\r\n\r\n`
    socket.write(head)
    socket.write(Buffer.alloc(2 ** 20, 120))
    await closed
    expect(answer).toMatch(/^HTTP\/1\.1 413 /)
    expect(answer.toLowerCase()).toContain('connection: close')
    socket.destroy()
  })
})
