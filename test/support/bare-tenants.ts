import type { RecordHead } from '../../src/store/record.ts'
import { freshKey } from '../../src/tenancy/key-format.ts'
import type { FreshKey } from '../../src/tenancy/key-format.ts'
import type { Role } from '../../src/tenancy/roles.ts'
import { tenantsBook } from '../../src/tenancy/tenants/book.ts'
import { TenantsState } from '../../src/tenancy/tenants/state.ts'
import { AT } from './catalogue.ts'

/** Tenants without a store: records are applied as they come. */
export class BareTenants {
  readonly state = new TenantsState()
  readonly book = tenantsBook(this.state)
  /** Time of the next records. */
  at = AT
  #head = 0

  /** Checks and applies a record. @throws TroupeError as the book says */
  take(type: string, data: unknown): void {
    const n = this.#head + 1
    const head: RecordHead = { n, id: `${n}`, at: this.at, by: 'tests', server: 's', request: null, based: n - 1, type }
    const kind = this.book.kinds[type]
    if (!kind) throw new Error(`no record is called ${type}`)
    kind.check(data, head)
    kind.apply(data, head)
    this.#head = n
  }

  /** A key of a tenant, which is made where there is none. */
  addKey(tenant: string, role: Role, expiresAt: string | null = null, replaces: object | null = null): FreshKey {
    if (!this.state.tenants.has(tenant)) this.take('tenant.put', { name: tenant, description: '', limits: {} })
    const fresh = freshKey()
    const { id, salt, hash } = fresh
    this.take('key.added', { id, tenant, role, label: '', salt, hash, expiresAt, replaces })
    return fresh
  }
}
