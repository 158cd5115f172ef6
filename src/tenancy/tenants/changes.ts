import { TroupeError } from '../../core/errors.ts'
import type { Journal } from '../../store/journal.ts'
import type { Origin } from '../../store/record.ts'
import { freshKey } from '../key-format.ts'
import type { TenantLimits } from '../limits.ts'
import type { Role } from '../roles.ts'
import type { Key, Tenant, TenantsState } from './state.ts'

/** What a tenant is to be. Fields left out stay as they are. */
export interface TenantInput {
  readonly description?: string | undefined
  readonly limits?: TenantLimits | undefined
}

export interface KeyInput {
  readonly role: Role
  readonly label?: string | undefined
  /** ISO time; null and left out = never. */
  readonly expiresAt?: string | null | undefined
}

/** A key that was just made: the only time that its text is there. */
export interface NewKey {
  readonly key: Key
  readonly text: string
}

/** Every change of tenants and keys, durable in the journal before it is told. */
export class TenantChanges {
  readonly #journal: Journal
  readonly #state: TenantsState
  readonly #ownedBy: (tenant: string) => number

  /** @param ownedBy how many adapters and tasks a tenant owns */
  constructor(journal: Journal, state: TenantsState, ownedBy: (tenant: string) => number) {
    this.#journal = journal
    this.#state = state
    this.#ownedBy = ownedBy
  }

  /** Creates or changes a tenant. @throws TroupeError `invalid_request`, `storage_error` */
  async putTenant(
    name: string,
    { description, limits }: TenantInput,
    origin: Origin,
  ): Promise<{ readonly tenant: Tenant; readonly created: boolean }> {
    let created = false
    await this.#journal.append(() => {
      const current = this.#state.tenants.get(name)
      created = current === undefined
      const data = {
        name,
        description: description ?? current?.description ?? '',
        limits: limits ?? current?.limits ?? {},
      }
      return { type: 'tenant.put', data }
    }, origin)
    return { tenant: this.#state.tenant(name), created }
  }

  /** Ends a tenant with its keys, which are refused from then on. @throws TroupeError `tenant_not_found`, `conflict` while it owns something */
  async deleteTenant(tenant: string, origin: Origin): Promise<void> {
    await this.#journal.append(() => {
      const owned = this.#ownedBy(tenant)
      if (owned > 0) {
        const message = `tenant "${tenant}" owns ${owned} adapters and tasks called "${tenant}/…": delete them first`
        throw new TroupeError('conflict', message)
      }
      return { type: 'tenant.deleted', data: { tenant } }
    }, origin)
  }

  /** @throws TroupeError `tenant_not_found`, `invalid_request`, `conflict` */
  async addKey(tenant: string, input: KeyInput, origin: Origin): Promise<NewKey> {
    return this.#addKey(tenant, () => ({ ...input, replaces: null }), origin)
  }

  /**
   * A new key in the place of another, of the same role, label and lifetime; the former is accepted for some time yet.
   * @throws TroupeError `tenant_not_found`, `key_not_found`
   */
  async rotateKey(tenant: string, id: string, graceSeconds: number, origin: Origin): Promise<NewKey> {
    const until = new Date(Date.now() + graceSeconds * 1000).toISOString()
    const decide = (): KeyInput & { readonly replaces: { readonly id: string; readonly until: string } } => {
      const { role, label, createdAt, expiresAt } = this.#state.key(tenant, id)
      const lifetime = expiresAt === null ? null : Date.parse(expiresAt) - Date.parse(createdAt)
      const expires = lifetime === null ? null : new Date(Date.now() + lifetime).toISOString()
      return { role, label, expiresAt: expires, replaces: { id, until } }
    }
    return this.#addKey(tenant, decide, origin)
  }

  /** Changes what a key is called and until when it is accepted. @throws TroupeError `tenant_not_found`, `key_not_found`, `invalid_request` */
  async changeKey(
    tenant: string,
    id: string,
    input: Partial<Pick<Key, 'label' | 'expiresAt'>>,
    origin: Origin,
  ): Promise<Key> {
    await this.#journal.append(() => {
      const { label, expiresAt } = { ...this.#state.key(tenant, id), ...input }
      return { type: 'key.changed', data: { tenant, id, label, expiresAt } }
    }, origin)
    return this.#state.key(tenant, id)
  }

  /** @throws TroupeError `tenant_not_found`, `key_not_found` */
  async revokeKey(tenant: string, id: string, origin: Origin): Promise<void> {
    await this.#journal.append({ type: 'key.revoked', data: { tenant, id } }, origin)
  }

  async #addKey(
    tenant: string,
    decide: () => KeyInput & { readonly replaces: { readonly id: string; readonly until: string } | null },
    origin: Origin,
  ): Promise<NewKey> {
    const { id, key: text, salt, hash } = freshKey()
    await this.#journal.append(() => {
      const { role, label = '', expiresAt = null, replaces } = decide()
      if (expiresAt !== null && Date.parse(expiresAt) <= Date.now())
        throw new TroupeError('invalid_request', `a key that expired at ${expiresAt} would never be accepted`, {
          param: 'expires_at',
        })
      return { type: 'key.added', data: { id, tenant, role, label, salt, hash, expiresAt, replaces } }
    }, origin)
    return { key: this.#state.key(tenant, id), text }
  }
}
