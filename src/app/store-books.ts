import { catalogueBook } from '../catalogue/book.ts'
import { CatalogueState } from '../catalogue/state.ts'
import type { Book } from '../store/record.ts'
import { tenantsBook } from '../tenancy/tenants/book.ts'
import { TenantsState } from '../tenancy/tenants/state.ts'

/** All that the journal of a store can say, and what says it. */
export interface StoreBooks {
  readonly catalogue: CatalogueState
  readonly tenants: TenantsState
  readonly books: readonly Book[]
}

/** The books of a store, empty: whoever opens its journal needs all of them. */
export function storeBooks(): StoreBooks {
  const catalogue = new CatalogueState()
  const tenants = new TenantsState()
  return { catalogue, tenants, books: [catalogueBook(catalogue), tenantsBook(tenants)] }
}
