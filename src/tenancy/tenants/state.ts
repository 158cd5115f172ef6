import { Type } from 'typebox'
import type { Static } from 'typebox'
import { TroupeError } from '../../core/errors.ts'
import type { DeepReadonly } from '../../core/readonly.ts'
import { TenantLimitsSchema } from '../limits.ts'
import { ROLES } from '../roles.ts'

/** An owner of keys, adapters and tasks. */
export const TenantSchema = Type.Object({
  name: Type.String(),
  description: Type.String(),
  limits: TenantLimitsSchema,
  createdAt: Type.String(),
  updatedAt: Type.String(),
})
export type Tenant = DeepReadonly<Static<typeof TenantSchema>>

/** A key without its secret. */
export const KeySchema = Type.Object({
  /** Public: it is part of the key, and people name the key by it. */
  id: Type.String({ pattern: '^[0-9a-f]{12}$' }),
  tenant: Type.String(),
  role: Type.Enum([...ROLES]),
  label: Type.String(),
  salt: Type.String({ pattern: '^[0-9a-f]{32}$' }),
  hash: Type.String({ pattern: '^[0-9a-f]{64}$' }),
  createdAt: Type.String(),
  /** Null = never. */
  expiresAt: Type.Union([Type.String(), Type.Null()]),
})
export type Key = DeepReadonly<Static<typeof KeySchema>>

/** A key that is refused for ever, kept so that its owner can be told why. */
export interface RetiredKey extends Key {
  readonly reason: 'revoked' | 'tenant deleted'
}

/** Retired keys that are remembered; older ones are unknown keys. */
const MAX_RETIRED = 1_000

/** What the journal says about tenants and keys, with the indexes to find it. Objects in it are replaced and never changed. */
export class TenantsState {
  readonly tenants = new Map<string, Tenant>()
  /** By id. */
  readonly keys = new Map<string, Key>()
  /** Oldest first. */
  readonly retired = new Map<string, RetiredKey>()
  /** Tenants that were deleted and not made again: keys of any origin are refused for them. */
  readonly deleted = new Set<string>()
  /** Whether there ever was a key. From then on the store's servers ask for one, even after the last was revoked. */
  hasHadKeys = false
  readonly #idsByTenant = new Map<string, Set<string>>()

  /** Keys of a tenant, oldest first. */
  keysOf(tenant: string): readonly Key[] {
    return [...(this.#idsByTenant.get(tenant) ?? [])].map((id) => this.keys.get(id)!)
  }

  putTenant(tenant: Tenant): void {
    this.tenants.set(tenant.name, tenant)
    this.deleted.delete(tenant.name)
  }

  putKey(key: Key): void {
    const ids = this.#idsByTenant.get(key.tenant) ?? new Set()
    this.#idsByTenant.set(key.tenant, ids.add(key.id))
    this.keys.set(key.id, key)
    this.hasHadKeys = true
  }

  retireKey(id: string, reason: RetiredKey['reason']): void {
    const key = this.keys.get(id)
    if (!key) return
    this.keys.delete(id)
    this.#idsByTenant.get(key.tenant)?.delete(id)
    this.remember({ ...key, reason })
  }

  remember(key: RetiredKey): void {
    this.retired.set(key.id, key)
    const [oldest] = this.retired.keys()
    if (this.retired.size > MAX_RETIRED && oldest !== undefined) this.retired.delete(oldest)
  }

  deleteTenant(name: string): void {
    for (const { id } of this.keysOf(name)) this.retireKey(id, 'tenant deleted')
    this.#idsByTenant.delete(name)
    this.tenants.delete(name)
    this.deleted.add(name)
  }

  /** @throws TroupeError `tenant_not_found` */
  tenant(name: string): Tenant {
    const found = this.tenants.get(name)
    if (found) return found
    throw new TroupeError('tenant_not_found', `there is no tenant "${name}"`, { param: 'tenant' })
  }

  /** @throws TroupeError `tenant_not_found`, `key_not_found` */
  key(tenant: string, id: string): Key {
    this.tenant(tenant)
    const found = this.keys.get(id)
    if (found?.tenant === tenant) return found
    throw new TroupeError('key_not_found', `tenant "${tenant}" has no key ${id}`, { param: 'key' })
  }
}
