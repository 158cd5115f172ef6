import type { Role } from '../../tenancy/roles.ts'

export interface TenantRow {
  readonly name: string
  readonly description: string
  readonly keys: number
}

export interface KeyRow {
  readonly id: string
  readonly role: Role
  readonly label: string
  readonly createdAt: string
  readonly expiresAt: string | null
}

/** A key with its text, which nobody can show again. */
export interface MadeKey {
  readonly id: string
  readonly text: string
}

export interface KeyWish {
  readonly role: Role
  readonly label: string
  readonly expiresAt: string | null
}

/** Where tenants and keys are looked after: at a server, or in a store that no server need run on. */
export interface TenantDesk {
  listTenants(): Promise<readonly TenantRow[]>
  putTenant(name: string, description: string | undefined): Promise<void>
  deleteTenant(name: string): Promise<void>
  listKeys(tenant: string): Promise<readonly KeyRow[]>
  addKey(tenant: string, wish: KeyWish): Promise<MadeKey>
  rotateKey(tenant: string, id: string, graceSeconds: number): Promise<MadeKey>
  expireKey(tenant: string, id: string, at: string | null): Promise<void>
  revokeKey(tenant: string, id: string): Promise<void>
  close(): Promise<void>
}
