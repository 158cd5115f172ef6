import type { JsonObject } from '../../core/json.ts'
import { invalid } from '../limits.ts'
import type { Expression, Literal } from './expressions.ts'
import { ANYTHING, both, isNothing, opposite } from './expressions.ts'
import type { Constraint, Evaluated, Kind, Tools } from './kinds.ts'
import { UNEVALUATED } from './kinds.ts'
import { lengthOf } from './string-kind.ts'

/** So many of the items from a place on are of a kind. */
export interface ItemCount {
  readonly from: number
  /** At most one schema. */
  readonly value: Expression
  readonly min: number
  readonly max: number
}

export interface Items {
  readonly min: number
  readonly max: number
  readonly prefix: readonly Expression[]
  /** Items after the prefix. */
  readonly rest: Expression
  readonly counts: readonly ItemCount[]
  /** Where `uniqueItems` was asked for; null = nowhere. */
  readonly unique: string | null
}

const TOP: Items = { min: 0, max: Infinity, prefix: [], rest: ANYTHING, counts: [], unique: null }

export const ARRAY_KIND: Kind<Items> = {
  name: 'array',
  top: TOP,
  meet,
  constraints,
  values: () => ({ holds: [], fails: [TOP] }),
  unevaluated,
}

function meet(a: Items, b: Items, tools: Tools): Items | null {
  const length = Math.max(a.prefix.length, b.prefix.length)
  const merged: Items = {
    min: Math.max(a.min, b.min),
    max: Math.min(a.max, b.max),
    prefix: Array.from({ length }, (_, i) => both(a.prefix[i] ?? a.rest, b.prefix[i] ?? b.rest)),
    rest: both(a.rest, b.rest),
    counts: [...a.counts, ...b.counts],
    unique: a.unique ?? b.unique,
  }
  if (merged.min > merged.max) return null
  for (let i = 0; i < Math.min(merged.min, length); i++) if (tools.impossible(merged.prefix[i]!)) return null
  if (merged.min > length && isNothing(merged.rest)) return null
  return merged
}

function constraints(schema: JsonObject, literal: Literal, tools: Tools): Constraint<Items>[] {
  const at = tools.placeOf(literal)
  const out: Constraint<Items>[] = []
  const min = lengthOf(schema, 'minItems', at)
  const max = lengthOf(schema, 'maxItems', at)
  if (min !== null) out.push({ holds: [{ ...TOP, min }], fails: min === 0 ? [] : [{ ...TOP, max: min - 1 }] })
  if (max !== null) out.push({ holds: [{ ...TOP, max }], fails: [{ ...TOP, min: max + 1 }] })
  // Until 2019-09 a list of `items` was what `prefixItems` is now, and `additionalItems` what `items` is.
  const older = Array.isArray(schema.items)
  const tuple: unknown = older ? schema.items : schema.prefixItems
  const rest: unknown = older ? schema.additionalItems : schema.items
  if (tuple !== undefined) {
    if (!Array.isArray(tuple)) throw invalid(at, '`prefixItems` must be an array')
    out.push(prefixed(tuple.map((item) => tools.child(literal, item))))
  }
  if (rest !== undefined) out.push(from(Array.isArray(tuple) ? tuple.length : 0, tools.child(literal, rest)))
  if (schema.contains !== undefined) out.push(containing(schema, literal, tools))
  if (schema.uniqueItems === true) out.push({ holds: [{ ...TOP, unique: at }], fails: [{ ...TOP, unique: `!${at}` }] })
  return out
}

function prefixed(items: readonly Expression[]): Constraint<Items> {
  return {
    holds: [{ ...TOP, prefix: items }],
    fails: items.map((item, i) => ({
      ...TOP,
      min: i + 1,
      prefix: [...items.slice(0, i).map(() => ANYTHING), opposite(item)],
    })),
    evaluated: { ...UNEVALUATED, items: items.length },
  }
}

/** Every item from a place on. */
function from(first: number, item: Expression): Constraint<Items> {
  const prefix = Array.from({ length: first }, () => ANYTHING)
  return {
    holds: [{ ...TOP, prefix, rest: item }],
    fails: [{ ...TOP, counts: [{ from: first, value: opposite(item), min: 1, max: Infinity }] }],
    evaluated: { ...UNEVALUATED, items: Infinity },
  }
}

function containing(schema: JsonObject, literal: Literal, tools: Tools): Constraint<Items> {
  const at = tools.placeOf(literal)
  const min = lengthOf(schema, 'minContains', at) ?? 1
  const max = lengthOf(schema, 'maxContains', at) ?? Infinity
  const value = tools.child(literal, schema.contains)
  const count = (least: number, most: number): Items => ({
    ...TOP,
    counts: [{ from: 0, value, min: least, max: most }],
  })
  const holds = min > max ? [] : min === 0 && max === Infinity ? [TOP] : [count(min, max)]
  const fails = [...(min > 0 ? [count(0, min - 1)] : []), ...(max < Infinity ? [count(max + 1, Infinity)] : [])]
  return { holds, fails, evaluated: { ...UNEVALUATED, contained: [value] } }
}

function unevaluated(item: Expression, { items, contained }: Evaluated): Constraint<Items> | null {
  if (items === Infinity) return { holds: [TOP], fails: [] }
  const prefix = Array.from({ length: items }, () => ANYTHING)
  if (contained.length === 0) return { ...from(items, item), evaluated: { ...UNEVALUATED, items: Infinity } }
  // An item that is neither contained nor what is asked for must not be there.
  const wrong = contained.reduce((sum, value) => both(sum, opposite(value)), opposite(item))
  const none = { ...TOP, prefix, counts: [{ from: items, value: wrong, min: 0, max: 0 }] }
  const some = { ...TOP, prefix, counts: [{ from: items, value: wrong, min: 1, max: Infinity }] }
  return { holds: [none], fails: [some], evaluated: { ...UNEVALUATED, items: Infinity } }
}
