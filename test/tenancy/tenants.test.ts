import { describe, expect, it } from 'vitest'
import { TenantsState } from '../../src/tenancy/tenants/state.ts'
import { tenantsBook } from '../../src/tenancy/tenants/book.ts'
import { BareTenants } from '../support/bare-tenants.ts'
import { codeOf, ME, messageOf, openRooms, upload } from '../support/rooms.ts'

describe('records of tenants', () => {
  it.each(['Acme', '', 'a/b', '*', '.x', 'a b', 'x'.repeat(64)])('cannot call one %j', async (name) => {
    const put = (): void => new BareTenants().take('tenant.put', { name, description: '', limits: {} })
    expect(await codeOf(put)).toBe('invalid_request')
  })

  it('want an admin’s key first', async () => {
    const bare = new BareTenants()
    expect(await messageOf(() => bare.addKey('acme', 'caller'))).toContain('must be of the role admin, not caller')
    bare.addKey('ops', 'admin')
    bare.addKey('acme', 'caller')
    expect(bare.state.keysOf('acme')).toHaveLength(1)
  })

  it('let the former of two keys end soon, and never later than it did', () => {
    const bare = new BareTenants()
    const [first, second] = [bare.addKey('ops', 'admin'), bare.addKey('ops', 'admin', '2026-02-01T00:00:00Z')]
    bare.addKey('ops', 'admin', null, { id: first.id, until: '2026-03-01T00:00:00Z' })
    bare.addKey('ops', 'admin', null, { id: second.id, until: '2026-03-01T00:00:00Z' })
    const ends = [first, second].map(({ id }) => bare.state.key('ops', id).expiresAt)
    expect(ends).toEqual(['2026-03-01T00:00:00Z', '2026-02-01T00:00:00Z'])
  })

  it('are the same after a snapshot', () => {
    const bare = new BareTenants()
    const { id } = bare.addKey('ops', 'admin')
    bare.addKey('acme', 'caller', '2027-01-01T00:00:00Z')
    bare.addKey('gone', 'caller')
    bare.take('tenant.deleted', { tenant: 'gone' })
    bare.take('key.revoked', { tenant: 'ops', id })
    const saved: unknown = JSON.parse(JSON.stringify(bare.book.save()))
    const copy = new TenantsState()
    const book = tenantsBook(copy)
    book.load(saved)
    expect(book.save()).toEqual(saved)
    expect(copy.keysOf('acme')).toEqual(bare.state.keysOf('acme'))
    expect([...copy.deleted, copy.hasHadKeys]).toEqual(['gone', true])
  })
})

describe('changes of tenants', () => {
  it('are known to another server of the store', async () => {
    const here = await openRooms()
    const there = await openRooms({ storeDir: here.storeDir })
    await here.rooms.tenantChanges.putTenant('ops', { description: 'us' }, ME)
    const { key } = await here.rooms.tenantChanges.addKey('ops', { role: 'admin' }, ME)
    await there.rooms.follow()
    expect(there.rooms.tenants.key('ops', key.id)).toMatchObject({ role: 'admin', createdAt: key.createdAt })
    await there.rooms.tenantChanges.revokeKey('ops', key.id, ME)
    await here.rooms.follow()
    expect([here.rooms.tenants.keys.size, here.rooms.tenants.retired.get(key.id)?.reason]).toEqual([0, 'revoked'])
  })

  it('leave out what stays as it is, and say whether a tenant is new', async () => {
    const { rooms } = await openRooms()
    expect(await rooms.tenantChanges.putTenant('acme', { description: 'd' }, ME)).toMatchObject({ created: true })
    const { tenant, created } = await rooms.tenantChanges.putTenant('acme', { limits: { weight: 2 } }, ME)
    expect([created, tenant.description, tenant.limits]).toEqual([false, 'd', { weight: 2 }])
  })

  it('rotate a key into one of the same role and lifetime', async () => {
    const { rooms } = await openRooms()
    await rooms.tenantChanges.putTenant('ops', {}, ME)
    const expiresAt = new Date(Date.now() + 1_000_000).toISOString()
    const old = await rooms.tenantChanges.addKey('ops', { role: 'admin', label: 'ci', expiresAt }, ME)
    const fresh = await rooms.tenantChanges.rotateKey('ops', old.key.id, 60, ME)
    expect(fresh.key).toMatchObject({ role: 'admin', label: 'ci' })
    expect(Date.parse(fresh.key.expiresAt ?? '')).toBeGreaterThanOrEqual(Date.parse(expiresAt) - 1_000)
    const until = Date.parse(rooms.tenants.key('ops', old.key.id).expiresAt ?? '')
    expect(Math.abs(until - Date.now() - 60_000)).toBeLessThan(30_000)
    expect(fresh.text).not.toBe(old.text)
  })

  it('refuse what cannot be', async () => {
    const { rooms } = await openRooms()
    const { tenantChanges } = rooms
    expect(await codeOf(() => tenantChanges.addKey('nobody', { role: 'admin' }, ME))).toBe('tenant_not_found')
    await tenantChanges.putTenant('acme', {}, ME)
    const past = { role: 'admin', expiresAt: '2020-01-01T00:00:00Z' } as const
    expect(await codeOf(() => tenantChanges.addKey('acme', past, ME))).toBe('invalid_request')
    expect(await codeOf(() => tenantChanges.revokeKey('acme', '0'.repeat(12), ME))).toBe('key_not_found')
    await upload(rooms, 'acme/a', { effect: 0.5 })
    expect(await messageOf(() => tenantChanges.deleteTenant('acme', ME))).toBe(
      'tenant "acme" owns 1 adapters and tasks called "acme/…": delete them first',
    )
    await rooms.residency.deleteAdapter('acme/a', ME)
    await tenantChanges.deleteTenant('acme', ME)
    expect(await codeOf(() => tenantChanges.deleteTenant('acme', ME))).toBe('tenant_not_found')
  })
})
