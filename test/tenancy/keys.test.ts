import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { FileKeys } from '../../src/tenancy/file-keys.ts'
import { freshKey, isHashOf, keyIdOf } from '../../src/tenancy/key-format.ts'
import type { KeyHeaders } from '../../src/tenancy/keys.ts'
import { Keyring } from '../../src/tenancy/keys.ts'
import { EVERYONE } from '../../src/tenancy/roles.ts'
import { BareTenants } from '../support/bare-tenants.ts'
import { codeOf, messageOf } from '../support/rooms.ts'

const hashed = `sha256:${createHash('sha256').update('zeta-secret').digest('hex')}`
const file = new FileKeys([
  { name: 'acme', keys: ['acme-1', 'acme-2'] },
  { name: 'zeta', keys: [hashed] },
  { name: 'ops', keys: ['root'], role: 'admin' },
])
const keyring = new Keyring({ file })

describe('keys of the file', () => {
  it.each([
    [{ authorization: 'Bearer acme-1' }, 'acme'],
    [{ authorization: 'bearer acme-2' }, 'acme'],
    [{ 'x-api-key': 'zeta-secret' }, 'zeta'],
    [{ authorization: 'Bearer root', 'x-api-key': 'acme-1' }, 'ops'],
  ])('%j is the key of %s', async (headers, tenant) => {
    expect(await keyring.authenticate(headers)).toMatchObject({ tenant })
  })

  it.each<KeyHeaders>([
    {},
    { authorization: 'Bearer ' },
    { authorization: 'Basic acme-1' },
    { authorization: 'acme-1' },
    { 'x-api-key': '' },
    { 'x-api-key': 'acme-3' },
    { 'x-api-key': hashed },
    { 'x-api-key': ['acme-1', 'acme-1'] },
    { 'x-api-key': freshKey().key },
    { 'x-api-key': 'eyJhbGciOiJSUzI1NiJ9.e30.AAAA' },
  ])('%j is nobody’s key', async (headers) => {
    expect(await codeOf(() => keyring.authenticate(headers))).toBe('invalid_api_key')
  })

  it('are gone when the file no longer has them', async () => {
    const changing = new FileKeys([{ name: 'acme', keys: ['old-key'] }])
    const ring = new Keyring({ file: changing })
    changing.replace([{ name: 'acme', keys: ['new-key'], role: 'caller' }])
    expect(await codeOf(() => ring.authenticate({ 'x-api-key': 'old-key' }))).toBe('invalid_api_key')
    expect(ring.authenticate({ 'x-api-key': 'new-key' })).toEqual({ tenant: 'acme', role: 'caller' })
  })

  it('without any source of keys everybody is the one tenant that may do everything', () => {
    const open = new Keyring()
    expect(open.open).toBe(true)
    expect(open.authenticate({ authorization: 'Bearer whatever' })).toBe(EVERYONE)
    expect(EVERYONE).toEqual({ tenant: '*', role: 'admin' })
  })

  it('keep no key in the clear', () => {
    expect(JSON.stringify(keyring)).not.toContain('acme-1')
  })
})

describe('keys of the store', () => {
  it('come with limits that go before those of the file', () => {
    const bare = new BareTenants()
    const limits = { weight: 2, concurrentRequests: 4 }
    const ring = new Keyring({ file: new FileKeys([{ name: 'acme', keys: ['k'], limits }]), tenants: bare.state })
    bare.take('tenant.put', { name: 'acme', description: '', limits: { weight: 3 } })
    expect(ring.limitsOf('acme')).toEqual({ weight: 3, concurrentRequests: 4 })
  })

  it('are found by their public part, and only whole', async () => {
    const bare = new BareTenants()
    const { key, id } = bare.addKey('ops', 'admin')
    const ring = new Keyring({ tenants: bare.state })
    expect(ring.authenticate({ 'x-api-key': key })).toEqual({ tenant: 'ops', role: 'admin' })
    const forged = freshKey().key.replace(/_[0-9a-f]{12}_/, `_${id}_`)
    for (const wrong of [forged, key.slice(0, -1), `${key}x`, key.toUpperCase(), id])
      expect(await codeOf(() => ring.authenticate({ 'x-api-key': wrong }))).toBe('invalid_api_key')
  })

  it('have 256 random bits behind a public id, and a salted hash', () => {
    const { key, id, salt, hash } = freshKey()
    expect(key).toMatch(/^troupe_[0-9a-f]{12}_[\w-]{43}$/)
    expect(keyIdOf(key)).toBe(id)
    expect(isHashOf(key, { salt, hash })).toBe(true)
    expect(isHashOf(key, { salt: freshKey().salt, hash })).toBe(false)
    expect(`${id}${salt}${hash}`).not.toContain(key.slice(20))
  })

  it('close a server for good, also when the last one is revoked', async () => {
    const bare = new BareTenants()
    const ring = new Keyring({ tenants: bare.state })
    expect(ring.open).toBe(true)
    const { key, id } = bare.addKey('ops', 'admin')
    expect(ring.open).toBe(false)
    bare.take('key.revoked', { tenant: 'ops', id })
    expect(ring.open).toBe(false)
    expect(await codeOf(() => ring.authenticate({ 'x-api-key': key }))).toBe('revoked_api_key')
    expect(await codeOf(() => ring.authenticate({}))).toBe('invalid_api_key')
  })

  it('say why they are refused, to whoever has the whole key', async () => {
    const bare = new BareTenants()
    bare.addKey('ops', 'admin')
    const { key, id } = bare.addKey('acme', 'caller')
    const ring = new Keyring({ tenants: bare.state })
    bare.take('tenant.deleted', { tenant: 'acme' })
    const refused = (): unknown => ring.authenticate({ 'x-api-key': key })
    expect(await codeOf(refused)).toBe('revoked_api_key')
    expect(await messageOf(refused)).toBe(
      `the API key ${id} is one of tenant "acme", which was deleted: use another one`,
    )
    const guess = freshKey().key.replace(/_[0-9a-f]{12}_/, `_${id}_`)
    expect(await messageOf(() => ring.authenticate({ 'x-api-key': guess }))).toBe('the API key is unknown')
  })

  it('of a deleted tenant are refused in the keys file too, until the tenant is made again', async () => {
    const bare = new BareTenants()
    bare.addKey('acme', 'admin')
    bare.take('tenant.deleted', { tenant: 'acme' })
    const ring = new Keyring({ file, tenants: bare.state })
    expect(await codeOf(() => ring.authenticate({ 'x-api-key': 'acme-1' }))).toBe('revoked_api_key')
    bare.take('tenant.put', { name: 'acme', description: '', limits: {} })
    expect(ring.authenticate({ 'x-api-key': 'acme-1' })).toMatchObject({ tenant: 'acme' })
  })

  it('end at their time, whichever way the clock jumps', async () => {
    const bare = new BareTenants()
    bare.at = '2026-06-01T12:00:00.000Z'
    const { key } = bare.addKey('ops', 'admin', '2026-07-01T00:00:00.000Z')
    const endless = bare.addKey('ops', 'admin').key
    let now = ''
    const ring = new Keyring({ tenants: bare.state }, () => Date.parse(now))
    const answerAt = async (time: string, text = key): Promise<string> => {
      now = time
      return codeOf(() => ring.authenticate({ 'x-api-key': text }))
    }
    expect(await answerAt('2026-06-30T23:59:59.999Z')).toBe('none')
    expect(await answerAt('2026-07-01T00:00:00.000Z')).toBe('expired_api_key')
    // Another server's clock may be behind by minutes; one that says it is 1970 knows nothing about ends.
    expect(await answerAt('2026-06-01T11:56:00.000Z')).toBe('none')
    expect(await answerAt('1970-01-01T00:00:00.000Z')).toBe('expired_api_key')
    expect(await messageOf(() => ring.authenticate({ 'x-api-key': key }))).toContain('set the clock right')
    expect(await answerAt('2026-06-30T00:00:00.000Z')).toBe('none')
    expect(await answerAt('1970-01-01T00:00:00.000Z', endless)).toBe('none')
  })
})
