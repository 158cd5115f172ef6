import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { assertMayAlter, viewOf } from '../../src/tenancy/access.ts'
import { EVERYONE, Keyring } from '../../src/tenancy/keys.ts'

const hashed = `sha256:${createHash('sha256').update('zeta-secret').digest('hex')}`
const keyring = new Keyring([
  { name: 'acme', keys: ['acme-1', 'acme-2'] },
  { name: 'zeta', keys: [hashed] },
  { name: 'ops', keys: ['root'], role: 'admin' },
])

describe('Keyring', () => {
  it.each([
    [{ authorization: 'Bearer acme-1' }, 'acme'],
    [{ authorization: 'bearer acme-2' }, 'acme'],
    [{ 'x-api-key': 'zeta-secret' }, 'zeta'],
    [{ authorization: 'Bearer root', 'x-api-key': 'acme-1' }, 'ops'],
  ])('%j is the key of %s', (headers, tenant) => {
    expect(keyring.authenticate(headers).tenant).toBe(tenant)
  })

  it.each([
    {},
    { authorization: 'Bearer ' },
    { authorization: 'Basic acme-1' },
    { authorization: 'acme-1' },
    { 'x-api-key': '' },
    { 'x-api-key': 'acme-3' },
    { 'x-api-key': hashed },
    { 'x-api-key': ['acme-1', 'acme-1'] },
  ])('%j is nobody’s key', (headers) => {
    expect(() => keyring.authenticate(headers)).toThrow(expect.objectContaining({ code: 'invalid_api_key' }) as Error)
  })

  it('without keys everybody is the one tenant that may do everything', () => {
    const open = new Keyring([])
    expect(open.open).toBe(true)
    expect(open.authenticate({ authorization: 'Bearer whatever' })).toBe(EVERYONE)
    expect(EVERYONE).toEqual({ tenant: '*', role: 'admin' })
  })

  it('keeps no key in the clear', () => {
    expect(JSON.stringify(keyring)).not.toContain('acme-1')
  })
})

describe('access to names', () => {
  const acme = { tenant: 'acme', role: 'publisher' } as const
  const ops = { tenant: 'ops', role: 'admin' } as const

  it.each([
    [acme, 'acme/x', true],
    [acme, 'zeta/x', false],
    [acme, 'acmex/x', false],
    [acme, 'acme', false],
    [acme, 'x', false],
    [ops, 'x', true],
    [ops, 'acme/x', true],
  ])('%j may alter %s: %s', (caller, name, allowed) => {
    const attempt = (): void => assertMayAlter(caller, name)
    if (allowed) expect(attempt).not.toThrow()
    else expect(attempt).toThrow(expect.objectContaining({ code: 'forbidden' }) as Error)
  })

  it('shows administrators everything, tenants their own view', () => {
    expect([viewOf(ops), viewOf(acme)]).toEqual(['*', 'acme'])
  })
})
