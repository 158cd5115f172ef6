import { isJsonObject } from '../../core/json.ts'
import type { JsonObject } from '../../core/json.ts'
import { invalid } from '../limits.ts'
import { runDfa } from '../regex/dfa.ts'
import type { Language } from '../regex/languages.ts'
import type { Expression, Literal } from './expressions.ts'
import { ANYTHING, both, NOTHING, opposite } from './expressions.ts'
import type { Constraint, Kind, Tools } from './kinds.ts'
import { UNEVALUATED } from './kinds.ts'
import { lengthOf } from './string-kind.ts'

/** Which property names something is said about. */
export type Names =
  | { readonly type: 'every' }
  | { readonly type: 'pattern'; readonly languages: readonly Language[] }
  /** All but these names and those that match a pattern. */
  | {
      readonly type: 'others'
      readonly names: ReadonlySet<string>
      readonly patterns: readonly (readonly Language[])[]
    }
  /** Names that do not fit a schema. */
  | { readonly type: 'failing'; readonly name: Expression }

export interface PropertyCount {
  readonly names: Names
  /** At most one schema. */
  readonly value: Expression
  readonly min: number
  readonly max: number
}

export interface Properties {
  readonly min: number
  readonly max: number
  readonly named: ReadonlyMap<string, Expression>
  readonly required: ReadonlySet<string>
  /** What holds for the values of other properties too. */
  readonly rules: readonly { readonly names: Names; readonly value: Expression }[]
  readonly counts: readonly PropertyCount[]
}

const TOP: Properties = { min: 0, max: Infinity, named: new Map(), required: new Set(), rules: [], counts: [] }

export const OBJECT_KIND: Kind<Properties> = {
  name: 'object',
  top: TOP,
  meet,
  constraints,
  values: () => ({ holds: [], fails: [TOP] }),
  unevaluated: (value, { names, patterns, everyName }) =>
    everyName
      ? { holds: [TOP], fails: [] }
      : { ...others(names, patterns, value), evaluated: { ...UNEVALUATED, everyName: true } },
}

/** What the value of a property must be. */
export function valueOf({ named, rules }: Properties, name: string, tools: Tools): Expression {
  return rules.reduce(
    (value, rule) => (includes(rule.names, name, tools) ? both(value, rule.value) : value),
    named.get(name) ?? ANYTHING,
  )
}

/** Whether something is said about this name. */
export function includes(names: Names, name: string, tools: Tools): boolean {
  switch (names.type) {
    case 'every':
      return true
    case 'pattern':
      return matches(names.languages, name)
    case 'others':
      return !names.names.has(name) && !names.patterns.some((languages) => matches(languages, name))
    case 'failing':
      return !tools.accepts(names.name, name)
  }
}

function matches(languages: readonly Language[], name: string): boolean {
  return languages.every(({ dfa, negated }) => runDfa(dfa, name) >= 0 !== negated)
}

function meet(a: Properties, b: Properties, tools: Tools): Properties | null {
  const named = new Map(a.named)
  const contested: string[] = []
  for (const [name, value] of b.named) {
    const other = named.get(name)
    named.set(name, other ? both(other, value) : value)
    if (other) contested.push(name)
  }
  const merged: Properties = {
    min: Math.max(a.min, b.min),
    max: Math.min(a.max, b.max),
    named,
    required: b.required.size === 0 ? a.required : new Set([...a.required, ...b.required]),
    rules: b.rules.length === 0 ? a.rules : [...a.rules, ...b.rules],
    counts: b.counts.length === 0 ? a.counts : [...a.counts, ...b.counts],
  }
  if (merged.min > merged.max || merged.required.size > merged.max) return null
  const suspects = new Set(contested.filter((name) => merged.required.has(name)))
  for (const [one, other] of [
    [a, b],
    [b, a],
  ] as const) {
    if (other.rules.length > 0) for (const name of one.required) suspects.add(name)
    for (const name of one.required) if (other.named.has(name)) suspects.add(name)
  }
  for (const name of suspects) if (tools.impossible(valueOf(merged, name, tools))) return null
  return merged
}

function constraints(schema: JsonObject, literal: Literal, tools: Tools): Constraint<Properties>[] {
  const at = tools.placeOf(literal)
  const out: Constraint<Properties>[] = []
  const min = lengthOf(schema, 'minProperties', at)
  const max = lengthOf(schema, 'maxProperties', at)
  if (min !== null) out.push({ holds: [{ ...TOP, min }], fails: min === 0 ? [] : [{ ...TOP, max: min - 1 }] })
  if (max !== null) out.push({ holds: [{ ...TOP, max }], fails: [{ ...TOP, min: max + 1 }] })
  const required = namesOf(schema.required, `${at}/required`)
  if (required.length > 0) out.push(requiring(required))
  const named = Object.entries(objectOf(schema.properties, `${at}/properties`))
  if (named.length > 0) out.push(properties(named.map(([name, child]) => [name, tools.child(literal, child)])))
  const patterns = Object.entries(objectOf(schema.patternProperties, `${at}/patternProperties`)).map(
    ([pattern, child]) =>
      [tools.languages(pattern, `${at}/patternProperties/${pattern}`), tools.child(literal, child)] as const,
  )
  for (const [languages, value] of patterns) out.push(matching(languages, value))
  if (schema.additionalProperties !== undefined) {
    const names = new Set(named.map(([name]) => name))
    const value = tools.child(literal, schema.additionalProperties)
    const rest = others(
      names,
      patterns.map(([languages]) => languages),
      value,
    )
    out.push({ ...rest, evaluated: { ...UNEVALUATED, everyName: true } })
  }
  if (schema.propertyNames !== undefined) out.push(naming(tools.child(literal, schema.propertyNames)))
  for (const [name, needs] of Object.entries({
    ...listsOf(schema.dependencies),
    ...objectOf(schema.dependentRequired, at),
  }))
    out.push(depending(name, namesOf(needs, `${at}/dependentRequired/${name}`)))
  return out
}

function requiring(names: readonly string[]): Constraint<Properties> {
  return { holds: [{ ...TOP, required: new Set(names) }], fails: names.map(absent) }
}

/** Objects without a property. */
export function absent(name: string): Properties {
  return { ...TOP, named: new Map([[name, NOTHING]]) }
}

/** Objects with a property. */
export function present(name: string): Properties {
  return { ...TOP, required: new Set([name]) }
}

function properties(entries: readonly (readonly [string, Expression])[]): Constraint<Properties> {
  return {
    holds: [{ ...TOP, named: new Map(entries) }],
    fails: entries
      .filter(([, value]) => value.length > 0)
      .map(([name, value]) => ({ ...present(name), named: new Map([[name, opposite(value)]]) })),
    evaluated: { ...UNEVALUATED, names: new Set(entries.map(([name]) => name)) },
  }
}

function matching(languages: readonly Language[], value: Expression): Constraint<Properties> {
  const names: Names = { type: 'pattern', languages }
  return { ...ruled(names, value), evaluated: { ...UNEVALUATED, patterns: [languages] } }
}

function others(
  names: ReadonlySet<string>,
  patterns: readonly (readonly Language[])[],
  value: Expression,
): Constraint<Properties> {
  return ruled({ type: 'others', names, patterns }, value)
}

function ruled(names: Names, value: Expression): Constraint<Properties> {
  if (value.length === 0) return { holds: [TOP], fails: [] }
  return {
    holds: [{ ...TOP, rules: [{ names, value }] }],
    fails: [{ ...TOP, counts: [{ names, value: opposite(value), min: 1, max: Infinity }] }],
  }
}

function naming(name: Expression): Constraint<Properties> {
  const names: Names = { type: 'failing', name }
  if (name.length === 0) return { holds: [TOP], fails: [] }
  return {
    holds: [{ ...TOP, rules: [{ names, value: NOTHING }] }],
    fails: [{ ...TOP, counts: [{ names, value: ANYTHING, min: 1, max: Infinity }] }],
  }
}

function depending(name: string, needs: readonly string[]): Constraint<Properties> {
  if (needs.length === 0) return { holds: [TOP], fails: [] }
  return {
    holds: [absent(name), { ...TOP, required: new Set([name, ...needs]) }],
    fails: needs
      .filter((need) => need !== name)
      .map((need) => ({ ...present(name), named: new Map([[need, NOTHING]]) })),
  }
}

function objectOf(value: unknown, at: string): JsonObject {
  if (value === undefined) return {}
  if (isJsonObject(value)) return value
  throw invalid(at, 'must be an object')
}

/** The lists of names in draft 7's `dependencies`. */
function listsOf(value: unknown): JsonObject {
  return Object.fromEntries(
    Object.entries(isJsonObject(value) ? value : {}).filter(([, needs]) => Array.isArray(needs)),
  )
}

function namesOf(value: unknown, at: string): readonly string[] {
  if (value === undefined) return []
  if (Array.isArray(value) && value.every((name) => typeof name === 'string')) return value
  throw invalid(at, 'must be an array of property names')
}
