import type { JsonObject } from '../../core/json.ts'
import { invalid, unsupported } from '../limits.ts'
import type { Language } from '../regex/languages.ts'
import { runDfa } from '../regex/dfa.ts'
import type { Literal } from './expressions.ts'
import { FORMATS } from './formats.ts'
import type { Constraint, Kind, Tools } from './kinds.ts'

/** Texts of some length in all of some languages. */
export interface Texts {
  readonly min: number
  readonly max: number
  readonly languages: readonly Language[]
  /** Null = any. */
  readonly only: readonly string[] | null
  readonly not: readonly string[]
}

const TOP: Texts = { min: 0, max: Infinity, languages: [], only: null, not: [] }

export const STRING_KIND: Kind<Texts> = {
  name: 'string',
  top: TOP,
  meet,
  constraints,
  values: (values) => {
    const only = values.filter((value) => typeof value === 'string')
    return { holds: only.length === 0 ? [] : [{ ...TOP, only }], fails: [{ ...TOP, not: only }] }
  },
  unevaluated: () => null,
}

function meet(a: Texts, b: Texts): Texts | null {
  const both: Texts = {
    min: Math.max(a.min, b.min),
    max: Math.min(a.max, b.max),
    languages: a.languages.length === 0 ? b.languages : [...new Set([...a.languages, ...b.languages])],
    only: a.only && b.only ? intersect(a.only, b.only) : (a.only ?? b.only),
    not: a.not.length === 0 ? b.not : [...new Set([...a.not, ...b.not])],
  }
  if (both.min > both.max) return null
  if (!both.only) return both
  const only = both.only.filter((text) => fits(text, both))
  return only.length === 0 ? null : { ...TOP, only }
}

function intersect(a: readonly string[], b: readonly string[]): readonly string[] {
  const known = new Set(b)
  return a.filter((text) => known.has(text))
}

/** Whether a text is one of them. */
export function fits(text: string, { min, max, languages, only, not }: Texts): boolean {
  const length = Array.from(text).length
  return (
    length >= min &&
    length <= max &&
    languages.every(({ dfa, negated }) => runDfa(dfa, text) >= 0 !== negated) &&
    (only === null || only.includes(text)) &&
    !not.includes(text)
  )
}

function constraints(schema: JsonObject, literal: Literal, tools: Tools): Constraint<Texts>[] {
  const at = tools.placeOf(literal)
  const out: Constraint<Texts>[] = []
  const min = lengthOf(schema, 'minLength', at)
  const max = lengthOf(schema, 'maxLength', at)
  if (min !== null) out.push({ holds: [{ ...TOP, min }], fails: min === 0 ? [] : [{ ...TOP, max: min - 1 }] })
  if (max !== null) out.push({ holds: [{ ...TOP, max }], fails: [{ ...TOP, min: max + 1 }] })
  if (schema.pattern !== undefined) {
    if (typeof schema.pattern !== 'string') throw invalid(at, '`pattern` must be a string')
    out.push(within(tools.languages(schema.pattern, `${at}/pattern`)))
  }
  if (schema.format !== undefined) {
    const pattern = typeof schema.format === 'string' ? FORMATS[schema.format] : undefined
    if (pattern === undefined)
      throw unsupported(
        at,
        `\`format\` ${JSON.stringify(schema.format)} is not enforced`,
        `use one of ${Object.keys(FORMATS).join(', ')}, or a \`pattern\``,
      )
    out.push(within(tools.languages(pattern, `${at}/format`)))
  }
  return out
}

function within(languages: readonly Language[]): Constraint<Texts> {
  return {
    holds: [{ ...TOP, languages }],
    fails: languages.map(({ dfa, negated }) => ({ ...TOP, languages: [{ dfa, negated: !negated }] })),
  }
}

/** A count in a schema; null when it is not there. Throws `invalid_request`. */
export function lengthOf(schema: JsonObject, key: string, at: string): number | null {
  const value = schema[key]
  if (value === undefined) return null
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value
  throw invalid(at, `\`${key}\` must be a whole number of at least 0`)
}
