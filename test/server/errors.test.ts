import { readFileSync } from 'node:fs'
import http from 'node:http'
import net from 'node:net'
import type { AddressInfo } from 'node:net'
import type { InjectOptions } from 'fastify'
import supertest from 'supertest'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { ERRORS } from '../../src/core/errors.ts'
import { errorReference } from '../../src/server/error-reference.ts'
import { testApp } from '../support/test-app.ts'
import type { TestApp } from '../support/test-app.ts'

let served: TestApp
let port: number

beforeAll(async () => {
  served = await testApp({
    settings: { bodyLimitBytes: 2000 },
    readiness: async () => ({ reasons: ['the engine is warming up'], degraded: [] }),
  })
  await served.app.listen({ port: 0, host: '127.0.0.1' })
  port = (served.app.server.address() as AddressInfo).port
})
afterAll(() => served.app.close())

interface Answer {
  readonly error: { message: string; type: string; code: keyof typeof ERRORS; param: string | null; request_id: string }
}

const url = '/v1/tasks/extract/generate'
const json = { 'content-type': 'application/json' }

describe('errors', () => {
  it.each([
    ['an unknown route', { method: 'GET', url: '/v1/nothing' }, 404, 'not_found'],
    ['a wrong method', { method: 'PATCH', url: '/v1/tasks/extract' }, 405, 'method_not_allowed'],
    ['broken JSON', { method: 'POST', url, headers: json, payload: '{"input": ' }, 400, 'invalid_request'],
    ['an empty body', { method: 'POST', url, headers: json, payload: '' }, 400, 'invalid_request'],
    ['no body at all', { method: 'POST', url }, 400, 'invalid_request'],
    ['a list as body', { method: 'POST', url, payload: [1] }, 400, 'invalid_request'],
    [
      'plain text',
      { method: 'POST', url, headers: { 'content-type': 'text/plain' }, payload: 'x' },
      415,
      'unsupported_media_type',
    ],
    [
      'a form',
      { method: 'POST', url, headers: { 'content-type': 'multipart/form-data; boundary=x' }, payload: 'x' },
      415,
      'unsupported_media_type',
    ],
    ['a large body', { method: 'POST', url, payload: { input: 'x'.repeat(3000) } }, 413, 'upload_too_large'],
    [
      'a poisoned prototype',
      { method: 'POST', url, headers: json, payload: '{"__proto__": {"a": 1}}' },
      400,
      'invalid_request',
    ],
    ['a name that climbs', { method: 'GET', url: '/v1/tasks/..%2F..%2Fetc' }, 400, 'invalid_request'],
    ['a wrong escape', { method: 'GET', url: '/v1/tasks/%E0%A4%A' }, 400, 'invalid_request'],
    ['an unknown query field', { method: 'GET', url: '/v1/adapters?page=2' }, 400, 'invalid_request'],
    ['a query field of the wrong type', { method: 'GET', url: '/v1/adapters?limit=many' }, 400, 'invalid_request'],
  ] as const)('%s is answered with the one envelope', async (_what, request, status, code) => {
    const response = await served.app.inject(request as InjectOptions)
    expect(response.statusCode, response.body).toBe(status)
    const { error } = response.json<Answer>()
    expect(error).toMatchObject({ code, type: ERRORS[code].type, request_id: response.headers['x-request-id'] })
    expect(Object.keys(error).sort()).toEqual(['code', 'message', 'param', 'request_id', 'type'])
  })

  it.each([
    [{ input: 'a', model: 'm' }, 'model', /the path already names the task/],
    [{ input: 5 }, 'input', /`input` must be a string, not 5/],
    [{ input: 'a', n: '3' }, 'n', /`n` must be an integer, not "3"/],
    [{ input: 'a', n: 17 }, 'n', /`n` is 17, it must be at most 16/],
    [{ input: 'a', temperature: -1 }, 'temperature', /is -1, it must be at least 0/],
    [{ input: 'a', stop: 5 }, 'stop', /`stop` must be a string or an array of strings, not 5/],
    [{ input: 'a', stop: ['b', 5] }, 'stop[1]', /must be a string, not 5/],
    [
      { messages: [{ role: 'robot', content: 'a' }] },
      'messages[0].role',
      /"system", "developer", "user".* not "robot"/,
    ],
    [{ messages: [{ role: 'user' }] }, 'messages[0].content', /`messages\[0\].content` is missing/],
    [{ messages: { role: 'user' } }, 'messages', /must be an array of objects, not an object/],
    [
      { messages: [{ role: 'user', content: ['a', { type: 'image_url', image_url: { url: 'x' } }] }] },
      'messages[0].content[1].type',
      /is "image_url", which is not supported; known are "text", /,
    ],
    [{ messages: [{ role: 'user', content: [{ type: 'text' }] }] }, 'messages[0].content[0].text', /is missing/],
    [{ messages: [{ role: 'user', content: 7 }] }, 'messages[0].content', /must be a string or an array of .* not 7/],
    [{ input: 'a', adapters: [{ version: 'v1' }] }, 'adapters[0].name', /is missing/],
    [{ input: 'a', adapters: [{ name: 'json', version: 'newest' }] }, 'adapters[0].version', /"newest"/],
    [{ input: 'a', adapters: [{ name: '../x' }] }, 'adapters[0].name', /malformed \("..\/x"\): lower-case letters/],
  ])('%j: the message names the field and what it has to be', async (payload, param, message) => {
    const response = await served.app.inject({ method: 'POST', url, payload })
    expect(response.statusCode).toBe(400)
    const { error } = response.json<Answer>()
    expect(error.message).toMatch(message)
    expect(error.param).toBe(param)
  })

  it.each([
    [{ adaptor: 'json' }, 'adaptor', /`adaptor` is an unknown field/],
    [{ x: 1, y: 2 }, 'x', /`x` is an unknown field.*; so is `y`/],
  ])('%j: names fields that a control route does not know', async (payload, param, message) => {
    const response = await served.app.inject({ method: 'PUT', url: '/v1/tasks/t', payload })
    expect(response.statusCode).toBe(400)
    expect(response.json<Answer>().error.message).toMatch(message)
    expect(response.json<Answer>().error.param).toBe(param)
  })

  it('tells the allowed methods', async () => {
    const response = await served.app.inject({ method: 'PATCH', url: '/v1/tasks/extract' })
    expect(String(response.headers.allow).split(', ')).toEqual(expect.arrayContaining(['GET', 'PUT', 'DELETE']))
  })

  it('says why it is not ready, and when to ask again', async () => {
    const response = await served.call({ url: '/health/ready' })
    expect(response.statusCode).toBe(503)
    expect(response.headers['retry-after']).toBe('1')
    expect(response.json<Answer>().error).toMatchObject({
      code: 'not_ready',
      message: expect.stringContaining('warming up') as string,
    })
    expect((await served.call({ url: '/health/live' })).statusCode).toBe(200)
  })

  it('keeps request ids of clients when they are sane', async () => {
    const id = async (given: string) =>
      (await served.app.inject({ url: '/v1/nothing', headers: { 'x-request-id': given } })).headers['x-request-id']
    expect(await id('abc-1')).toBe('abc-1')
    expect(await id('a b\tc')).not.toBe('a b\tc')
  })

  it('shows nothing of an unforeseen fault, and logs it', async () => {
    vi.spyOn(served.rooms.catalogue, 'listTasks').mockImplementation(() => {
      throw new Error('secret detail')
    })
    const response = await supertest(served.app.server).get('/v1/tasks').expect(500)
    expect((response.body as Answer).error.code).toBe('internal')
    expect(response.text).not.toContain('secret')
    expect(served.log.join('\n')).toContain('secret detail')
  })

  it('answers what is not HTTP with the envelope, and goes on', async () => {
    const raw = await new Promise<string>((resolve) => {
      let answer = ''
      const socket = net.connect(port, '127.0.0.1', () => socket.write('what is this\r\n\r\n'))
      socket.on('data', (data) => (answer += data.toString()))
      socket.on('close', () => resolve(answer))
    })
    expect(raw).toMatch(/^HTTP\/1\.1 400 Bad Request/)
    expect(raw).toContain('"code":"invalid_request"')
    const status = await new Promise((resolve) =>
      http.get({ port, path: '/health/live' }, (res) => resolve(res.statusCode)),
    )
    expect(status).toBe(200)
  })

  it('says that a request took too long to arrive, and not that it was wrong', async () => {
    const late = Object.assign(new Error('Request timeout'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' })
    served.app.server.once('connection', (socket) => served.app.server.emit('clientError', late, socket))
    const raw = await new Promise<string>((resolve) => {
      let answer = ''
      const socket = net.connect(port, '127.0.0.1')
      socket.on('data', (data) => (answer += data.toString()))
      socket.on('close', () => resolve(answer))
    })
    expect(raw).toMatch(/^HTTP\/1\.1 408 Request Timeout/)
    expect(raw).toContain('"code":"request_timeout"')
  })

  it('docs/errors.md is what the catalogue says, code by code', () => {
    const committed = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8')
    expect(committed, 'run `npm run openapi`').toBe(errorReference())
    const documented = [...committed.matchAll(/^## `(\w+)`$/gm)].map(([, code]) => code)
    expect(documented.sort()).toEqual(Object.keys(ERRORS).sort())
  })
})
