import type { Dfa } from '../regex/dfa.ts'

/** What a child may be, and which of its container's counters it adds to. */
export interface Option {
  readonly node: number
  readonly adds: readonly number[]
}

export interface Counter {
  readonly min: number
  readonly max: number
}

/** Numbers without bounds are read by form only; the others by what can still follow. */
export type NumberTable =
  | { readonly type: 'free'; readonly integer: boolean }
  /** Written exactly so; ascending. */
  | { readonly type: 'words'; readonly words: readonly string[] }
  /** All values are multiplied by `10^decimals`. */
  | {
      readonly type: 'range'
      readonly decimals: number
      readonly low: bigint
      readonly high: bigint
      readonly multipleOf: bigint
      readonly notMultipleOf: readonly bigint[]
      readonly not: readonly bigint[]
    }

/** Texts: some words (ascending by UTF-16), an automaton, or all of some length. */
export interface TextTable {
  readonly words: readonly string[] | null
  readonly dfa: Dfa | null
  readonly min: number
  readonly max: number
}

export interface ArrayTable {
  readonly prefix: readonly (readonly Option[])[]
  readonly rest: readonly Option[]
  readonly counters: readonly Counter[]
  readonly min: number
  readonly max: number
  readonly unique: boolean
}

export interface ObjectTable {
  /** Ascending by UTF-16. */
  readonly names: readonly string[]
  /** Places in the order of the schema; null = any order. */
  readonly order: readonly number[] | null
  readonly required: readonly boolean[]
  /** Per name; none = must not be there. */
  readonly options: readonly (readonly Option[])[]
  /** Names beside those above; null = none. */
  readonly others: {
    /** Null = all names; a label chooses the options. */
    readonly dfa: Dfa | null
    readonly options: readonly (readonly Option[])[]
    /** How many such names there are. */
    readonly capacity: number
  } | null
  readonly counters: readonly Counter[]
  readonly min: number
  readonly max: number
}

/** Values of one schema, as alternatives by kind. */
export interface NodeTable {
  readonly null: boolean
  readonly true: boolean
  readonly false: boolean
  readonly numbers: readonly NumberTable[]
  readonly strings: readonly TextTable[]
  readonly arrays: readonly ArrayTable[]
  readonly objects: readonly ObjectTable[]
}

/** A compiled schema. */
export interface JsonTables {
  /** The first is the whole. */
  readonly nodes: readonly NodeTable[]
  /** Whether white space may stand between the parts. */
  readonly blanks: boolean
}
