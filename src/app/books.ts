import { catalogueBook } from '../catalogue/book.ts'
import { CatalogueState } from '../catalogue/state.ts'
import { evaluationBook } from '../evaluation/book.ts'
import type { EvaluationState } from '../evaluation/book.ts'
import type { Book } from '../store/record.ts'

/** All that a store's journal says: a journal is opened with all of its books, or it could not be read. */
export interface StoreBooks {
  readonly state: CatalogueState
  readonly evaluations: EvaluationState
  readonly books: readonly Book[]
}

/** Empty books, to be filled by `Journal.open`. */
export function emptyBooks(): StoreBooks {
  const state = new CatalogueState()
  const evaluations: EvaluationState = new Map()
  return { state, evaluations, books: [catalogueBook(state), evaluationBook(evaluations, state)] }
}
