import { Type } from 'typebox'
import { TroupeError } from '../core/errors.ts'
import { Shape } from '../core/shape.ts'
import type { Book, JournalRecord, RecordKind } from './record.ts'
import { recordKind } from './record.ts'

/** Stands where a record was that nobody could read, and says where its bytes are now. It changes nothing. */
export const LOST_RECORD = 'record.lost'
const lost = recordKind(
  Type.Object({
    reason: Type.String(),
    /** Key of what was found in its place; null = nothing was. */
    kept: Type.Union([Type.String(), Type.Null()]),
  }),
  { check: () => undefined, apply: () => undefined },
)

export interface KnownKind {
  readonly kind: RecordKind
  readonly shape: Shape<RecordKind['schema']>
}

/** All types of records that some book knows, with their schemas compiled. */
export class RecordKinds {
  readonly #kinds = new Map<string, KnownKind>()

  constructor(books: readonly Book[]) {
    for (const kinds of [{ [LOST_RECORD]: lost }, ...books.map((book) => book.kinds)]) {
      for (const [type, kind] of Object.entries(kinds))
        this.#kinds.set(type, { kind, shape: new Shape(kind.schema, type) })
    }
  }

  /** @throws TroupeError `storage_error` for a type that nobody knows */
  of({ type }: JournalRecord): KnownKind {
    const known = this.#kinds.get(type)
    if (known) return known
    const message = `the record has the type "${type}", which this version of troupe does not know: use a newer one`
    throw new TroupeError('storage_error', message)
  }
}
