import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { testApp } from '../support/test-app.ts'
import type { TestApp } from '../support/test-app.ts'

let served: TestApp

beforeEach(async () => {
  served = await testApp()
})
afterEach(() => served.app.close())

type Method = 'GET' | 'PUT' | 'POST' | 'PATCH' | 'DELETE'

async function ask(method: Method, path: string, payload?: object, key?: string) {
  const headers = key === undefined ? {} : { authorization: `Bearer ${key}` }
  return served.call({ method, url: `/v1/${path}`, headers, ...(payload ? { payload } : {}) })
}

/** The first key: from then on the server asks for one. */
async function firstKey(): Promise<string> {
  await ask('PUT', 'tenants/ops', { description: 'runs it' })
  return (await ask('POST', 'tenants/ops/keys', { role: 'admin' })).json<{ key: string }>().key
}

async function newKey(admin: string, tenant: string, role: string, fields: object = {}) {
  await ask('PUT', `tenants/${tenant}`, {}, admin)
  return (await ask('POST', `tenants/${tenant}/keys`, { role, ...fields }, admin)).json<{ id: string; key: string }>()
}

function codeOf(response: { json: <T>() => T }): string {
  return response.json<{ error: { code: string } }>().error.code
}

describe('/v1/tenants', () => {
  it('closes an open server with the first key, which is an admin’s', async () => {
    expect((await ask('GET', 'tasks')).statusCode).toBe(200)
    await ask('PUT', 'tenants/ops', {})
    const refused = await ask('POST', 'tenants/ops/keys', { role: 'publisher' })
    expect([refused.statusCode, codeOf(refused)]).toEqual([400, 'invalid_request'])
    expect((await ask('GET', 'tasks')).statusCode).toBe(200)
    const admin = await firstKey()
    expect((await ask('GET', 'tasks')).statusCode).toBe(401)
    expect((await ask('GET', 'tasks', undefined, admin)).statusCode).toBe(200)
    // What was made while it was open is nobody's: all see it, admins change it.
    const { key } = await newKey(admin, 'acme', 'publisher')
    expect((await ask('GET', 'adapters/json', undefined, key)).statusCode).toBe(200)
    expect((await ask('DELETE', 'tasks/extract', undefined, key)).statusCode).toBe(403)
  })

  it('creates, changes, lists and deletes tenants', async () => {
    const admin = await firstKey()
    const limits = { weight: 2, concurrent_requests: 3 }
    const created = await ask('PUT', 'tenants/acme', { description: 'd', limits }, admin)
    expect([created.statusCode, created.json()]).toMatchObject([201, { tenant: 'acme', limits, keys: 0 }])
    const changed = await ask('PUT', 'tenants/acme', { description: 'e' }, admin)
    expect([changed.statusCode, changed.json()]).toMatchObject([200, { description: 'e', limits }])
    const page = (await ask('GET', 'tenants?limit=1', undefined, admin)).json<{ next: string }>()
    expect(page).toMatchObject({ data: [{ tenant: 'acme' }], next: 'acme' })
    expect((await ask('GET', 'tenants?after=acme', undefined, admin)).json()).toMatchObject({
      data: [{ tenant: 'ops', keys: 1 }],
      next: null,
    })
    expect((await ask('PUT', 'tenants/Acme', {}, admin)).statusCode).toBe(400)
    expect((await ask('PUT', 'tenants/acme', { limits: { weigth: 1 } }, admin)).statusCode).toBe(400)
    expect((await ask('DELETE', 'tenants/acme', undefined, admin)).statusCode).toBe(204)
    expect(codeOf(await ask('GET', 'tenants/acme', undefined, admin))).toBe('tenant_not_found')
  })

  it('shows a key once, and never its hash', async () => {
    const admin = await firstKey()
    const { key, id } = await newKey(admin, 'acme', 'caller', { label: 'app' })
    const listed = await ask('GET', 'tenants/acme/keys', undefined, admin)
    expect(listed.json()).toMatchObject({
      data: [{ id, role: 'caller', label: 'app', expires_at: null, expired: false }],
    })
    expect(listed.body).not.toMatch(/salt|hash/)
    expect(listed.body).not.toContain(key)
    expect(served.log.join('\n')).not.toContain(key.slice(20))
  })

  it('revokes, expires and rotates keys from the next request on', async () => {
    const admin = await firstKey()
    const [one, two] = [await newKey(admin, 'acme', 'caller'), await newKey(admin, 'acme', 'publisher')]
    const works = async (key: string): Promise<string> => {
      const response = await ask('GET', 'tasks', undefined, key)
      return response.statusCode === 200 ? 'works' : `${response.statusCode} ${codeOf(response)}`
    }
    const rotated = await ask('POST', `tenants/acme/keys/${one.id}/rotate`, { grace_seconds: 60 }, admin)
    const { key: fresh, role } = rotated.json<{ key: string; role: string }>()
    expect([rotated.statusCode, role, await works(one.key), await works(fresh)]).toEqual([
      201,
      'caller',
      'works',
      'works',
    ])
    await ask('PATCH', `tenants/acme/keys/${one.id}`, { expires_at: '2020-01-01T00:00:00Z' }, admin)
    expect(await works(one.key)).toBe('401 expired_api_key')
    await ask('PATCH', `tenants/acme/keys/${one.id}`, { expires_at: null }, admin)
    expect(await works(one.key)).toBe('works')
    expect((await ask('DELETE', `tenants/acme/keys/${two.id}`, undefined, admin)).statusCode).toBe(204)
    expect([await works(two.key), await works(fresh)]).toEqual(['401 revoked_api_key', 'works'])
    await ask('DELETE', 'tenants/acme', undefined, admin)
    expect(await works(fresh)).toBe('401 revoked_api_key')
    expect((await ask('PATCH', `tenants/acme/keys/${one.id}`, { expires_at: 'soon' }, admin)).statusCode).toBe(400)
  })

  it('counts failed logins by reason and logs them without the key', async () => {
    const admin = await firstKey()
    await ask('GET', 'tasks', undefined, 'sk-not-a-key-of-ours')
    const { body } = await ask('GET', '../metrics', undefined, admin).then(() =>
      served.app.inject({ url: '/metrics', headers: { 'x-api-key': admin } }),
    )
    expect(body).toContain('troupe_failed_logins_total{reason="invalid_api_key"} 1')
    const line = served.log.find((one) => one.includes('login failed'))
    expect(line).toContain('"reason":"invalid_api_key"')
    expect(line).not.toContain('sk-not-a-key')
  })
})

describe('sharing', () => {
  async function three(): Promise<{ admin: string; acme: string; zeta: string; other: string }> {
    const admin = await firstKey()
    const [acme, zeta, other] = await Promise.all(
      ['acme', 'zeta', 'other'].map(async (name) => (await newKey(admin, name, 'publisher')).key),
    )
    await served.addAdapter('acme/a', 'cccc')
    await ask('PUT', 'tasks/acme%2Ft', { adapter: 'acme/a', prompt: '{input}' }, acme)
    return { admin, acme: acme!, zeta: zeta!, other: other! }
  }

  const complete = (key: string, model: string) => ask('POST', 'completions', { model, prompt: 'x' }, key)

  it('lets named tenants see and use an adapter, until it is taken back, whatever is in memory', async () => {
    const { acme, zeta, other } = await three()
    expect((await complete(zeta, 'acme/a')).statusCode).toBe(404)
    await ask('PATCH', 'adapters/acme%2Fa', { shared_with: ['zeta', 'third'] }, acme)
    for (const model of ['acme/a', 'acme/a@v1']) expect((await complete(zeta, model)).statusCode).toBe(200)
    const seen = await ask('GET', 'adapters/acme%2Fa', undefined, zeta)
    expect(seen.json()).toMatchObject({ shared_with: ['zeta'] })
    expect((await ask('GET', 'models', undefined, zeta)).body).toContain('acme/a@v1')
    expect((await ask('DELETE', 'adapters/acme%2Fa', undefined, zeta)).statusCode).toBe(403)
    expect((await complete(other, 'acme/a')).statusCode).toBe(404)
    await ask('PATCH', 'adapters/acme%2Fa', { shared_with: [] }, acme)
    for (const model of ['acme/a', 'acme/a@v1']) expect((await complete(zeta, model)).statusCode).toBe(404)
    expect((await ask('DELETE', 'adapters/acme%2Fa', undefined, zeta)).statusCode).toBe(404)
    expect((await ask('GET', 'models', undefined, zeta)).body).not.toContain('acme/')
  })

  it('of a task does not share what it routes to', async () => {
    const { acme, zeta, other } = await three()
    await ask('PUT', 'tasks/acme%2Ft', { shared_with: ['*'] }, acme)
    for (const key of [zeta, other]) {
      expect((await ask('POST', 'tasks/acme%2Ft/generate', { input: 'x' }, key)).statusCode).toBe(200)
      expect((await complete(key, 'acme/a')).statusCode).toBe(404)
      expect((await ask('GET', 'adapters/acme%2Fa', undefined, key)).statusCode).toBe(404)
    }
    expect((await ask('PUT', 'tasks/zeta%2Fmine', { adapter: 'acme/a' }, zeta)).statusCode).toBe(404)
  })

  it('shows no refused uploads of the owner', async () => {
    const { acme, zeta } = await three()
    await ask('PATCH', 'adapters/acme%2Fa', { shared_with: ['zeta'] }, acme)
    const payload =
      '--x\r\ncontent-disposition: form-data; name="f"; filename="adapter_config.json"\r\n\r\n{}\r\n--x--\r\n'
    const headers = { 'content-type': 'multipart/form-data; boundary=x', authorization: `Bearer ${acme}` }
    const url = '/v1/adapters/acme%2Fa/versions'
    expect((await served.call({ method: 'POST', url, headers, payload })).statusCode).toBe(400)
    const states = async (key: string) =>
      (await ask('GET', 'adapters/acme%2Fa', undefined, key))
        .json<{ versions: { state: string }[] }>()
        .versions.map(({ state }) => state)
    expect(await states(zeta)).toEqual(['ready'])
    expect((await states(acme)).every((state) => ['ready', 'rejected'].includes(state))).toBe(true)
  })
})
