import type { JsonTables, TextTable } from '../json/tables.ts'
import type { PointRange } from '../json/character-reader.ts'

/** A part of a grammar; others are named by their number. Plain data. */
export type RulePart =
  /** These bytes, at least one. */
  | { readonly type: 'literal'; readonly bytes: Uint8Array }
  /** One character. */
  | { readonly type: 'character'; readonly ranges: readonly PointRange[] }
  | { readonly type: 'text'; readonly table: TextTable }
  | { readonly type: 'json'; readonly tables: JsonTables }
  /** One after the other; none = nothing. */
  | { readonly type: 'sequence'; readonly parts: readonly number[] }
  | { readonly type: 'either'; readonly parts: readonly number[] }
  | { readonly type: 'repeat'; readonly part: number; readonly min: number; readonly max: number }

/** A compiled grammar. */
export interface RuleTables {
  /** The first is the whole. */
  readonly parts: readonly RulePart[]
  /** By part: whether it may be nothing. */
  readonly nullable: readonly boolean[]
  /** By part: whether plain characters may follow one another for ever, whichever they are. */
  readonly free: readonly boolean[]
}
