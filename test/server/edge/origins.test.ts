import type { InjectOptions } from 'fastify'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { testApp } from '../../support/test-app.ts'
import type { TestApp } from '../../support/test-app.ts'

const PAGE = 'http://evil.example:3000'
const CHANGES: readonly (InjectOptions & { readonly url: string })[] = [
  { method: 'POST', url: '/v1/tasks/extract/rollback' },
  { method: 'POST', url: '/v1/tasks/extract/activate', payload: { adapter: 'json', version: 'v2' } },
  { method: 'PUT', url: '/v1/tasks/other', payload: { adapter: 'json' } },
  { method: 'DELETE', url: '/v1/tasks/extract' },
  { method: 'DELETE', url: '/v1/adapters/json' },
  { method: 'POST', url: '/v1/unload_lora_adapter', payload: { lora_name: 'json' } },
  { method: 'POST', url: '/v1/completions', payload: { model: 'json', prompt: 'a' } },
  {
    method: 'POST',
    url: '/v1/adapters/json/versions',
    headers: { 'content-type': 'multipart/form-data; boundary=x' },
    payload: '--x--\r\n',
  },
]

describe('a server without keys', () => {
  let fake: TestApp
  beforeAll(async () => {
    fake = await testApp()
  })
  afterAll(() => fake.app.close())

  const send = (request: InjectOptions, headers: Record<string, string>): Promise<number> =>
    fake.app
      .inject({ ...request, headers: { host: 'localhost:8080', ...request.headers, ...headers } })
      .then(({ statusCode }) => statusCode)

  describe.each([
    ['the page’s origin', { origin: PAGE }],
    ['an origin that hides', { origin: 'null' }],
    ['another port of this machine', { origin: 'http://localhost:3000' }],
    ['another name of this machine', { origin: 'http://127.0.0.1:8080' }],
    ['no origin, but another site', { 'sec-fetch-site': 'cross-site' }],
    ['no origin, but another host of the site', { 'sec-fetch-site': 'same-site' }],
    ['no origin, but an old browser’s form', { referer: `${PAGE}/page`, 'content-type': 'text/plain' }],
  ])('with %s', (_what, headers) => {
    it.each(CHANGES.map((change) => [`${change.method} ${change.url}`, change] as const))(
      'refuses %s',
      async (_name, change) => {
        // What an old browser's form sends is a form, whatever the route expects.
        const before = await fake.app.inject('/v1/tasks')
        expect(await send(change, headers)).toBe(403)
        expect((await fake.app.inject('/v1/tasks')).body).toBe(before.body)
      },
    )
  })

  it('says which setting lets the page in', async () => {
    const response = await fake.call({ ...CHANGES[0], headers: { origin: PAGE } })
    expect(response.json()).toMatchObject({
      error: {
        code: 'origin_not_allowed',
        message: expect.stringMatching(/evil\.example:3000.*allowedOrigins/) as string,
      },
    })
  })

  it.each([
    ['a program', {}],
    ['its own pages', { origin: 'http://localhost:8080', 'sec-fetch-site': 'same-origin' }],
    ['its own pages over TLS that ends before it', { origin: 'https://localhost:8080' }],
    ['the address bar', { 'sec-fetch-site': 'none' }],
  ])('takes changes from %s', async (_what, headers) => {
    const change = { method: 'PUT', url: '/v1/tasks/mine', payload: { adapter: 'json' } } as const
    expect([200, 201]).toContain(await send(change, headers))
  })

  it('lets pages of every origin read nothing: there is no CORS header, and a preflight is refused', async () => {
    const read = await fake.app.inject({ url: '/v1/models', headers: { origin: PAGE } })
    expect(read.headers).not.toHaveProperty('access-control-allow-origin')
    const preflight = { origin: PAGE, 'access-control-request-method': 'POST' }
    const response = await fake.app.inject({ method: 'OPTIONS', url: '/v1/completions', headers: preflight })
    expect(response.statusCode).toBe(405)
    expect(response.headers).not.toHaveProperty('access-control-allow-origin')
  })
})

describe('allowedOrigins', () => {
  let fake: TestApp
  const tenants = [{ name: 'acme', keys: ['sk-acme-1'] }]
  const origin = 'https://app.example.com'
  beforeAll(async () => {
    fake = await testApp({ tenants, edge: { allowedOrigins: [origin] } })
  })
  afterAll(() => fake.app.close())

  it('answers preflights before it asks for a key, on every path', async () => {
    for (const url of ['/v1/completions', '/v1/tasks/acme%2Fx', '/v1/adapters/x/versions']) {
      const headers = {
        origin,
        'access-control-request-method': 'PUT',
        'access-control-request-headers': 'authorization,content-type',
      }
      const response = await fake.app.inject({ method: 'OPTIONS', url, headers })
      expect(response.statusCode).toBe(204)
      expect(response.headers).toMatchObject({
        'access-control-allow-origin': origin,
        'access-control-allow-methods': expect.stringContaining('PUT') as string,
        'access-control-allow-headers': 'authorization,content-type',
        'access-control-max-age': '600',
      })
      expect(String(response.headers.vary)).toMatch(/origin/i)
    }
  })

  it('lets the page read answers and errors, and no other page', async () => {
    const read = (from: string, key?: string) =>
      fake.app.inject({ url: '/v1/models', headers: { origin: from, ...(key && { 'x-api-key': key }) } })
    const good = await read(origin, 'sk-acme-1')
    expect(good.headers['access-control-allow-origin']).toBe(origin)
    expect(good.headers['access-control-expose-headers']).toContain('x-request-id')
    expect((await read(origin)).statusCode).toBe(401)
    expect((await read(origin)).headers['access-control-allow-origin']).toBe(origin)
    expect((await read(PAGE, 'sk-acme-1')).headers).not.toHaveProperty('access-control-allow-origin')
  })

  it('leaves unknown routes unknown', async () => {
    expect((await fake.app.inject('/v1/nothing')).statusCode).toBe(404)
    expect((await fake.app.inject({ method: 'PATCH', url: '/v1/completions' })).headers.allow).toBe('POST')
  })

  it('lets pages change a server without keys once their origin is listed', async () => {
    for (const [allowed, status] of [
      [[PAGE], 200],
      [['*'], 200],
      [[origin], 403],
    ] as const) {
      const { app } = await testApp({ edge: { allowedOrigins: [...allowed] } })
      const request = { method: 'POST', url: '/v1/completions', payload: { model: 'json', prompt: 'a' } } as const
      expect((await app.inject({ ...request, headers: { origin: PAGE } })).statusCode).toBe(status)
      await app.close()
    }
  })
})

describe('headers', () => {
  it('are on answers, errors and pages; pages may load only their own', async () => {
    const { app } = await testApp()
    const answers = ['/v1/models', '/v1/nothing', '/v1/adapters?page=2', '/openapi.json']
    for (const url of answers) {
      const { headers } = await app.inject(url)
      expect(headers).toMatchObject({
        'content-security-policy': "default-src 'none';frame-ancestors 'none'",
        'x-content-type-options': 'nosniff',
        'x-frame-options': 'DENY',
        'referrer-policy': 'no-referrer',
      })
      expect(headers).not.toHaveProperty('strict-transport-security')
    }
    expect((await app.inject('/v1/tasks/%E0%A4%A')).headers).toMatchObject({ 'x-content-type-options': 'nosniff' })
    const page = await app.inject('/docs/')
    expect(page.headers).toMatchObject({ 'x-frame-options': 'DENY', 'x-content-type-options': 'nosniff' })
    const policy = String(page.headers['content-security-policy'])
    expect(policy).toMatch(/default-src 'self';.*frame-ancestors 'none';.*script-src 'self';/)
    // The page works under its policy: no script of its own stands in it, and what it loads comes from here.
    expect(page.body).not.toMatch(/<script(?![^>]*\bsrc=)[^>]*>/)
    const sources = [...page.body.matchAll(/<(?:script|link)[^>]*(?:src|href)="([^"]+)"/g)].map(([, url]) => url!)
    expect(sources.length).toBeGreaterThan(3)
    for (const url of sources) {
      expect(url).toMatch(/^\.?\//)
      expect((await app.inject(new URL(url, 'http://localhost/docs/').pathname)).statusCode, url).toBe(200)
    }
    await app.close()
  })
})
