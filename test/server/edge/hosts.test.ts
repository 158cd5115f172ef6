import { hostname } from 'node:os'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { KnownHosts, hostName } from '../../../src/server/edge/hosts.ts'
import { testApp } from '../../support/test-app.ts'
import type { TestApp } from '../../support/test-app.ts'

describe('KnownHosts', () => {
  const hosts = new KnownHosts('box.lan', ['api.example.com', '.apps.example.com'])

  it.each([
    ['127.0.0.1'],
    ['127.0.0.1:8080'],
    ['10.1.2.3:80'],
    ['[::1]:8080'],
    ['localhost:8080'],
    ['LOCALHOST'],
    ['localhost.'],
    ['demo.localhost'],
    ['box.lan:8080'],
    ['api.example.com'],
    ['Api.Example.com:443'],
    ['a.b.apps.example.com'],
    [hostname()],
  ])('knows %s', (host) => expect(hosts.knows(host)).toBe(true))

  it.each([
    ['evil.example'],
    ['evil.example:8080'],
    ['localhost.evil.example'],
    ['127.0.0.1.evil.example'],
    ['apps.example.com'],
    ['xapi.example.com'],
    ['evilapps.example.com'],
    ['api.example.com@evil.example'],
    ['evil.example/127.0.0.1'],
    ['a b'],
    [''],
  ])('does not know %j', (host) => expect(hosts.knows(host)).toBe(false))

  it('reads the name out of a header', () => {
    expect(hostName('[fe80::1]:8080')).toBe('fe80::1')
    expect(hostName('a/b')).toBe(null)
  })
})

describe('a server without keys', () => {
  let fake: TestApp
  beforeAll(async () => {
    fake = await testApp({ edge: { allowedHosts: ['api.example.com'] } })
  })
  afterAll(() => fake.app.close())

  it.each(['/v1/models', '/v1/nothing', '/openapi.json', '/docs/', '/metrics', '/'])(
    'answers %s to no name that was pointed at it, whatever a proxy header says',
    async (url) => {
      const headers = { host: 'evil.example', 'x-forwarded-host': 'localhost' }
      const response = await fake.app.inject({ url, headers })
      expect(response.statusCode).toBe(421)
      expect(response.json()).toMatchObject({
        error: {
          code: 'host_not_allowed',
          param: 'host',
          message: expect.stringMatching(/"evil\.example".*allowedHosts/) as string,
        },
      })
    },
  )

  it('takes names of the setting, and probes by any name', async () => {
    expect((await fake.app.inject({ url: '/v1/models', headers: { host: 'api.example.com' } })).statusCode).toBe(200)
    for (const url of ['/health', '/health/live', '/health/ready'])
      expect((await fake.app.inject({ url, headers: { host: 'probe.cluster' } })).statusCode).toBe(200)
  })
})

it('a server with keys goes by every name, unless some are set', async () => {
  const tenants = [{ name: 'acme', keys: ['sk-acme-1'] }]
  const headers = { host: 'any.example', 'x-api-key': 'sk-acme-1' }
  for (const [allowedHosts, status] of [
    [[], 200],
    [['api.example.com'], 421],
  ] as const) {
    const { app } = await testApp({ tenants, edge: { allowedHosts: [...allowedHosts] } })
    expect((await app.inject({ url: '/v1/models', headers })).statusCode).toBe(status)
    await app.close()
  }
})

it('believes the host that a trusted proxy forwards, and no other', async () => {
  const { app } = await testApp({ edge: { trustedProxies: ['127.0.0.0/8'], allowedHosts: ['api.example.com'] } })
  const ask = async (remoteAddress: string, forwarded: string): Promise<number> => {
    const headers = { host: 'localhost', 'x-forwarded-host': forwarded }
    return (await app.inject({ url: '/v1/models', remoteAddress, headers })).statusCode
  }
  expect(await ask('127.0.0.1', 'api.example.com')).toBe(200)
  expect(await ask('127.0.0.1', 'evil.example')).toBe(421)
  expect(await ask('10.0.0.9', 'evil.example')).toBe(200)
  await app.close()
})
