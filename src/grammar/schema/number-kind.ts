import { invalid } from '../limits.ts'
import type { JsonObject } from '../../core/json.ts'
import type { Decimal } from './decimal.ts'
import { commonMultiple, compare, decimalOf, isMultiple, ONE } from './decimal.ts'
import type { Constraint, Kind, Tools } from './kinds.ts'
import type { Literal } from './expressions.ts'

export interface Bound {
  readonly at: Decimal
  readonly exclusive: boolean
}

/** Numbers between bounds that are a multiple of something, and not of others. */
export interface Numbers {
  readonly low: Bound | null
  readonly high: Bound | null
  readonly multipleOf: Decimal | null
  readonly notMultipleOf: readonly Decimal[]
  /** Null = any. */
  readonly only: readonly number[] | null
  readonly not: readonly number[]
}

const TOP: Numbers = { low: null, high: null, multipleOf: null, notMultipleOf: [], only: null, not: [] }

export const NUMBER_KIND: Kind<Numbers> = {
  name: 'number',
  top: TOP,
  meet,
  constraints,
  values: (values) => {
    const only = values.filter((value) => typeof value === 'number')
    return { holds: only.length === 0 ? [] : [{ ...TOP, only }], fails: [{ ...TOP, not: only }] }
  },
  unevaluated: () => null,
}

function meet(a: Numbers, b: Numbers): Numbers | null {
  const both: Numbers = {
    low: tighter(a.low, b.low, 1),
    high: tighter(a.high, b.high, -1),
    multipleOf:
      a.multipleOf && b.multipleOf ? commonMultiple(a.multipleOf, b.multipleOf) : (a.multipleOf ?? b.multipleOf),
    notMultipleOf: [...a.notMultipleOf, ...b.notMultipleOf],
    only: a.only && b.only ? a.only.filter((value) => b.only!.includes(value)) : (a.only ?? b.only),
    not: a.not.length === 0 ? b.not : [...new Set([...a.not, ...b.not])],
  }
  if (both.only) {
    const only = both.only.filter((value) => fits(value, both))
    return only.length === 0 ? null : { ...TOP, only }
  }
  const { low, high, multipleOf } = both
  if (low && high) {
    const order = compare(low.at, high.at)
    if (order > 0 || (order === 0 && (low.exclusive || high.exclusive))) return null
  }
  if (multipleOf && both.notMultipleOf.some((other) => isMultiple(multipleOf, other))) return null
  return both
}

function tighter(a: Bound | null, b: Bound | null, sign: number): Bound | null {
  if (!a || !b) return a ?? b
  const order = compare(a.at, b.at) * sign
  return order > 0 || (order === 0 && a.exclusive) ? a : b
}

function fits(value: number, { low, high, multipleOf, notMultipleOf, not }: Numbers): boolean {
  const exact = decimalOf(value)
  const above = low ? compare(exact, low.at) : 1
  const below = high ? compare(high.at, exact) : 1
  return (
    (above > 0 || (above === 0 && !low!.exclusive)) &&
    (below > 0 || (below === 0 && !high!.exclusive)) &&
    (!multipleOf || isMultiple(exact, multipleOf)) &&
    !notMultipleOf.some((other) => isMultiple(exact, other)) &&
    !not.includes(value)
  )
}

function constraints(schema: JsonObject, literal: Literal, tools: Tools): Constraint<Numbers>[] {
  const out: Constraint<Numbers>[] = []
  const decimal = (key: string): Decimal | null => {
    const value = schema[key]
    if (value === undefined) return null
    if (typeof value !== 'number' || !Number.isFinite(value))
      throw invalid(tools.placeOf(literal), `\`${key}\` must be a number`)
    return decimalOf(value)
  }
  const low = (at: Decimal, exclusive: boolean): Numbers => ({ ...TOP, low: { at, exclusive } })
  const high = (at: Decimal, exclusive: boolean): Numbers => ({ ...TOP, high: { at, exclusive } })
  const [minimum, maximum] = [decimal('minimum'), decimal('maximum')]
  // Draft 4 writes `exclusiveMinimum: true` beside `minimum`.
  const [openLow, openHigh] = [schema.exclusiveMinimum === true, schema.exclusiveMaximum === true]
  const [above, below] = [
    typeof schema.exclusiveMinimum === 'boolean' ? null : decimal('exclusiveMinimum'),
    typeof schema.exclusiveMaximum === 'boolean' ? null : decimal('exclusiveMaximum'),
  ]
  if (minimum) out.push({ holds: [low(minimum, openLow)], fails: [high(minimum, !openLow)] })
  if (maximum) out.push({ holds: [high(maximum, openHigh)], fails: [low(maximum, !openHigh)] })
  if (above) out.push({ holds: [low(above, true)], fails: [high(above, false)] })
  if (below) out.push({ holds: [high(below, true)], fails: [low(below, false)] })
  const unit = decimal('multipleOf')
  if (unit && unit.digits <= 0n) throw invalid(tools.placeOf(literal), '`multipleOf` must be greater than 0')
  if (unit) out.push(multiple(unit))
  return out
}

function multiple(unit: Decimal): Constraint<Numbers> {
  return { holds: [{ ...TOP, multipleOf: unit }], fails: [{ ...TOP, notMultipleOf: [unit] }] }
}

/** What `type: integer` says of a number. */
export const INTEGER: Constraint<Numbers> = multiple(ONE)
