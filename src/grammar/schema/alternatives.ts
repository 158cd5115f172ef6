import { tooComplex } from '../limits.ts'
import type { Evaluated, Kind, Tools } from './kinds.ts'
import { UNEVALUATED } from './kinds.ts'

/** One way for a value to fit an expression. */
export interface Alternative<C> {
  readonly all: C
  readonly evaluated: Evaluated
}

export type Alternatives<C> = readonly Alternative<C>[]

/** Most alternatives of one schema for one kind of values. */
const MAX_ALTERNATIVES = 3_000

/** The ways for a value to fit one of `a` and one of `b`. @throws TroupeError `schema_too_complex` */
export function product<C>(
  a: Alternatives<C>,
  b: Alternatives<C>,
  kind: Kind<C>,
  tools: Tools,
  at: string,
): Alternatives<C> {
  if (b.length === 1 && b[0]!.all === kind.top && b[0]!.evaluated === UNEVALUATED) return a
  const out: Alternative<C>[] = []
  tools.budget.nodes(a.length * b.length, at)
  for (const one of a)
    for (const other of b) {
      const all = one.all === kind.top ? other.all : kind.meet(one.all, other.all, tools)
      if (all !== null) out.push({ all, evaluated: merged(one.evaluated, other.evaluated) })
    }
  return checked(out, at)
}

/** @throws TroupeError `schema_too_complex` where there are too many */
export function checked<C>(alternatives: Alternative<C>[], at: string): Alternatives<C> {
  if (alternatives.length <= MAX_ALTERNATIVES) return alternatives
  throw tooComplex(
    at,
    `becomes more than ${MAX_ALTERNATIVES} alternatives`,
    'tell the branches of oneOf, anyOf and not apart by a required const property',
  )
}

/** The same, whatever was evaluated on the way. */
export function forgotten<C>(alternatives: Alternatives<C>): Alternatives<C> {
  return alternatives.map(({ all }) => ({ all, evaluated: UNEVALUATED }))
}

function merged(a: Evaluated, b: Evaluated): Evaluated {
  if (a === UNEVALUATED) return b
  if (b === UNEVALUATED) return a
  return {
    names: new Set([...a.names, ...b.names]),
    patterns: [...a.patterns, ...b.patterns],
    everyName: a.everyName || b.everyName,
    items: Math.max(a.items, b.items),
    contained: [...a.contained, ...b.contained],
  }
}
