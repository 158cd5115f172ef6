import type { Budget } from '../limits.ts'
import type { Language } from '../regex/languages.ts'
import type { Expression, Literal, Literals } from './expressions.ts'
import type { JsonObject } from '../../core/json.ts'

/** The kinds of JSON values. */
export type KindName = 'null' | 'true' | 'false' | 'number' | 'string' | 'array' | 'object'

/** One constraint of a schema on values of one kind: alternatives in which it holds, and in which it fails. */
export interface Constraint<C> {
  readonly holds: readonly C[]
  readonly fails: readonly C[]
  readonly evaluated?: Evaluated
}

/** What keywords have looked at, for `unevaluatedProperties` and `unevaluatedItems`. */
export interface Evaluated {
  readonly names: ReadonlySet<string>
  readonly patterns: readonly (readonly Language[])[]
  readonly everyName: boolean
  /** So many items from the front. */
  readonly items: number
  /** Items that are one of these. */
  readonly contained: readonly Expression[]
}

export const UNEVALUATED: Evaluated = { names: new Set(), patterns: [], everyName: false, items: 0, contained: [] }

/** How values of one kind are constrained: conjunctions `C` of what its keywords say. */
export interface Kind<C> {
  readonly name: KindName
  /** All values of the kind. */
  readonly top: C
  /** Both; null when they are seen to contradict each other. */
  meet(a: C, b: C, tools: Tools): C | null
  constraints(schema: JsonObject, literal: Literal, tools: Tools): readonly Constraint<C>[]
  /** `const` and `enum`: scalars only. */
  values(values: readonly unknown[], tools: Tools): Constraint<C>
  unevaluated(expression: Expression, evaluated: Evaluated, annotated: boolean): Constraint<C> | null
}

/** What the kinds need while they read schemas. */
export interface Tools {
  readonly literals: Literals
  readonly budget: Budget
  placeOf(literal: Literal): string
  /** The schema at a keyword. */
  child(literal: Literal, schema: unknown): Expression
  languages(pattern: string, at: string): readonly Language[]
  /** Whether it is seen at once that no value fits. */
  impossible(expression: Expression): boolean
  accepts(expression: Expression, text: string): boolean
}
