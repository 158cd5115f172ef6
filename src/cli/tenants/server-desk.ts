import { Type } from 'typebox'
import { messageOf, TroupeError } from '../../core/errors.ts'
import { isJsonObject } from '../../core/json.ts'
import { Shape } from '../../core/shape.ts'
import { ROLES } from '../../tenancy/roles.ts'
import type { MadeKey, TenantDesk } from './desk.ts'

const Next = Type.Union([Type.String(), Type.Null()])
const TenantPage = Type.Object({
  data: Type.Array(Type.Object({ tenant: Type.String(), description: Type.String(), keys: Type.Integer() })),
  next: Next,
})
const KeyPage = Type.Object({
  data: Type.Array(
    Type.Object({
      id: Type.String(),
      role: Type.Enum([...ROLES]),
      label: Type.String(),
      created_at: Type.String(),
      expires_at: Type.Union([Type.String(), Type.Null()]),
    }),
  ),
  next: Next,
})

const tenantPage = new Shape(TenantPage, 'the server’s answer')
const keyPage = new Shape(KeyPage, 'the server’s answer')
const madeKey = new Shape(Type.Object({ id: Type.String(), key: Type.String() }), 'the server’s answer')

/** Asks a running server, as an admin. */
export function serverDesk(url: string, key: string | undefined): TenantDesk {
  const ask = (method: string, path: string, body?: object): Promise<unknown> => send(url, key, method, path, body)
  const keysOf = (tenant: string): string => `/v1/tenants/${encodeURIComponent(tenant)}/keys`
  const make = async (path: string, body: object): Promise<MadeKey> => {
    const { id, key: text } = madeKey.check(await ask('POST', path, body), 'invalid_request')
    return { id, text }
  }
  return {
    listTenants: async () => {
      const rows = await allPages(async (after) =>
        tenantPage.check(await ask('GET', `/v1/tenants?limit=1000${after}`), 'invalid_request'),
      )
      return rows.map(({ tenant, ...row }) => ({ name: tenant, ...row }))
    },
    putTenant: async (name, description) => {
      await ask('PUT', `/v1/tenants/${encodeURIComponent(name)}`, description === undefined ? {} : { description })
    },
    deleteTenant: async (name) => void (await ask('DELETE', `/v1/tenants/${encodeURIComponent(name)}`)),
    listKeys: async (tenant) => {
      const rows = await allPages(async (after) =>
        keyPage.check(await ask('GET', `${keysOf(tenant)}?limit=1000${after}`), 'invalid_request'),
      )
      return rows.map(({ created_at: createdAt, expires_at: expiresAt, ...row }) => ({ ...row, createdAt, expiresAt }))
    },
    addKey: (tenant, { role, label, expiresAt }) => make(keysOf(tenant), { role, label, expires_at: expiresAt }),
    rotateKey: (tenant, id, seconds) => make(`${keysOf(tenant)}/${id}/rotate`, { grace_seconds: seconds }),
    expireKey: async (tenant, id, at) => void (await ask('PATCH', `${keysOf(tenant)}/${id}`, { expires_at: at })),
    revokeKey: async (tenant, id) => void (await ask('DELETE', `${keysOf(tenant)}/${id}`)),
    close: async () => undefined,
  }
}

async function allPages<T>(
  ask: (after: string) => Promise<{ readonly data: readonly T[]; readonly next: string | null }>,
): Promise<T[]> {
  const rows: T[] = []
  for (let after: string | null = ''; after !== null;) {
    const page = await ask(after)
    rows.push(...page.data)
    after = page.next === null ? null : `&after=${encodeURIComponent(page.next)}`
  }
  return rows
}

async function send(
  url: string,
  key: string | undefined,
  method: string,
  path: string,
  body?: object,
): Promise<unknown> {
  const headers = {
    ...(body && { 'content-type': 'application/json' }),
    ...(key !== undefined && { authorization: `Bearer ${key}` }),
  }
  const target = URL.canParse(path, url) ? new URL(path, url) : null
  if (target === null)
    throw new TroupeError('invalid_request', `--url takes an address like http://127.0.0.1:8080, not ${url}`)
  const answer = await fetch(target, { method, headers, ...(body && { body: JSON.stringify(body) }) }).catch(
    (cause: unknown) => {
      const reason = cause instanceof Error && cause.cause ? messageOf(cause.cause) : messageOf(cause)
      throw new TroupeError('invalid_request', `no server answers at ${url}: ${reason}`, { cause })
    },
  )
  const text = await answer.text()
  const json: unknown = text === '' ? null : JSON.parse(text)
  if (answer.ok) return json
  const error = isJsonObject(json) && isJsonObject(json.error) ? json.error.message : text.slice(0, 200)
  const hint = answer.status === 401 && key === undefined ? '; set TROUPE_KEY to the key of an admin' : ''
  throw new TroupeError('invalid_request', `${url} answers ${answer.status}: ${String(error)}${hint}`)
}
