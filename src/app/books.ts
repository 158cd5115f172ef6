import { catalogueBook } from '../catalogue/book.ts'
import { CatalogueState } from '../catalogue/state.ts'
import { evaluationBook } from '../evaluation/book.ts'
import type { EvaluationState } from '../evaluation/book.ts'
import type { Book } from '../store/record.ts'
import { tenantsBook } from '../tenancy/tenants/book.ts'
import { TenantsState } from '../tenancy/tenants/state.ts'

/** All that a store's journal says: a journal is opened with all of its books, or it could not be read. */
export interface StoreBooks {
  readonly state: CatalogueState
  readonly evaluations: EvaluationState
  readonly tenants: TenantsState
  readonly books: readonly Book[]
}

/** Empty books, to be filled by `Journal.open`. */
export function emptyBooks(): StoreBooks {
  const state = new CatalogueState()
  const evaluations: EvaluationState = new Map()
  const tenants = new TenantsState()
  const books = [catalogueBook(state), evaluationBook(evaluations, state), tenantsBook(tenants)]
  return { state, evaluations, tenants, books }
}
