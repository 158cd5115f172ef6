import type { Budget } from '../limits.ts'
import type { NodeTable, NumberTable, TextTable } from '../json/tables.ts'
import { hasNumber } from '../json/number-state.ts'
import { intersection, lengthDfa, textCount, wordsDfa } from '../regex/languages.ts'
import type { Language } from '../regex/languages.ts'
import { arrayTable } from './array-table.ts'
import { decimalOf, scaled } from './decimal.ts'
import type { Expander } from './expander.ts'
import { KINDS } from './all-kinds.ts'
import type { Expression } from './expressions.ts'
import type { Numbers } from './number-kind.ts'
import { objectTable } from './object-table.ts'
import type { Texts } from './string-kind.ts'

/** Makes the tables of all expressions that can be reached from one. */
export class NodeBuilder {
  readonly nodes: NodeTable[] = []
  readonly expander: Expander
  readonly budget: Budget
  /** Whether properties keep the order of the schema. */
  readonly ordered: boolean
  readonly #numbers = new Map<string, number>()
  readonly #queue: { readonly expression: Expression; readonly at: string }[] = []

  constructor(expander: Expander, budget: Budget, ordered: boolean) {
    this.expander = expander
    this.budget = budget
    this.ordered = ordered
  }

  /** The number that the node of this expression will have. */
  node(expression: Expression, at: string): number {
    const key = expression.join(',')
    const known = this.#numbers.get(key)
    if (known !== undefined) return known
    this.budget.nodes(1, at)
    const number = this.#numbers.size
    this.#numbers.set(key, number)
    this.#queue.push({ expression, at })
    return number
  }

  build(root: Expression): void {
    this.node(root, '#')
    for (const { expression, at } of this.#queue) this.nodes.push(this.#table(expression, at))
  }

  #table(expression: Expression, parent: string): NodeTable {
    const { expander } = this
    const first = expression.find((number) => number !== 0)
    const at = first === undefined ? parent : expander.tools.placeOf(expander.literals.get(first))
    return {
      null: expander.expand(expression, KINDS.null).length > 0,
      true: expander.expand(expression, KINDS.true).length > 0,
      false: expander.expand(expression, KINDS.false).length > 0,
      numbers: expander.expand(expression, KINDS.number).flatMap(({ all }) => numberTable(all)),
      strings: expander.expand(expression, KINDS.string).flatMap(({ all }) => textTable(all, this.budget, at)),
      arrays: expander.expand(expression, KINDS.array).flatMap(({ all }) => arrayTable(all, this, at)),
      objects: expander.expand(expression, KINDS.object).flatMap(({ all }) => objectTable(all, this, at)),
    }
  }
}

/** Digits after the point where nothing says how many, and digits that a double keeps apart. */
const DECIMALS = 9
const EXACT_DIGITS = 15

function numberTable(numbers: Numbers): NumberTable[] {
  const { low, high, multipleOf, notMultipleOf, only, not } = numbers
  if (only) return [{ type: 'words', words: only.map((value) => JSON.stringify(value)).sort() }]
  const integer = multipleOf !== null && multipleOf.scale === 0 && multipleOf.digits === 1n
  const bare = !low && !high && notMultipleOf.length === 0 && not.length === 0
  if (bare && (multipleOf === null || integer)) return [{ type: 'free', integer }]
  const bounds = [low, high].flatMap((bound) => (bound ? [bound.at] : []))
  const excluded = not.map(decimalOf)
  const whole = Math.max(
    1,
    ...[...bounds, ...excluded].map(({ digits, scale }) => String(digits < 0n ? -digits : digits).length - scale),
  )
  const scales = [...bounds, ...notMultipleOf, ...excluded].map(({ scale }) => scale)
  // Past the digits of a double, numbers that differ are read as the same.
  const fine = Math.max(0, EXACT_DIGITS - whole)
  const decimals = multipleOf ? multipleOf.scale : Math.min(Math.max(DECIMALS, ...scales), fine)
  const unit = 10n ** BigInt(decimals)
  // Whole numbers stay whole when they are rounded, other multiples do not stay multiples.
  const exact = (multipleOf !== null && !integer) || notMultipleOf.length > 0
  const widest = 10n ** BigInt(exact ? Math.max(1, EXACT_DIGITS - decimals) : 18) * unit
  const clip = (value: bigint): bigint =>
    exact && value > widest ? widest : exact && value < -widest ? -widest : value
  const inner = (value: bigint, exclusive: boolean, at: { digits: bigint; scale: number }, sign: 1n | -1n): bigint =>
    exclusive && scaled(at, decimals, 'down') === scaled(at, decimals, 'up') ? value + sign : value
  const table = {
    type: 'range' as const,
    decimals,
    low: low ? clip(inner(scaled(low.at, decimals, 'up'), low.exclusive, low.at, 1n)) : -widest + 1n,
    high: high ? clip(inner(scaled(high.at, decimals, 'down'), high.exclusive, high.at, -1n)) : widest - 1n,
    multipleOf: multipleOf ? scaled(multipleOf, decimals, 'up') : 1n,
    notMultipleOf: notMultipleOf.map((other) => scaled(other, decimals, 'up')),
    not: excluded
      .filter((value) => scaled(value, decimals, 'up') === scaled(value, decimals, 'down'))
      .map((value) => scaled(value, decimals, 'up')),
  }
  return hasNumber(table, table.low, table.high) ? [table] : []
}

function textTable(texts: Texts, budget: Budget, at: string): TextTable[] {
  const { min, max, only, not } = texts
  if (only) return [{ words: [...new Set(only)].sort(), dfa: null, min: 0, max: Infinity }]
  const languages: Language[] = [...texts.languages]
  if (not.length > 0) languages.push({ dfa: wordsDfa(not, budget, at), negated: true })
  if (languages.length === 0) return [{ words: null, dfa: null, min, max }]
  if (min > 0 || max < Infinity) languages.push({ dfa: lengthDfa(min, max, budget, at), negated: false })
  const dfa = intersection(languages, budget, at)
  return textCount(dfa, 0) === 0 ? [] : [{ words: null, dfa, min: 0, max: Infinity }]
}
