import type { ObjectTable, Option } from '../json/tables.ts'
import type { Dfa } from '../regex/dfa.ts'
import type { Language } from '../regex/languages.ts'
import { intersection, lengthDfa, product, textCount, textsOf, wordsDfa } from '../regex/languages.ts'
import { STRING_KIND } from './string-kind.ts'
import type { Expression } from './expressions.ts'
import { ANYTHING, both } from './expressions.ts'
import type { NodeBuilder } from './node-builder.ts'
import type { Names, Properties } from './object-kind.ts'
import { includes, valueOf } from './object-kind.ts'
import { optionsOf } from './options.ts'

/** Up to so many names that a pattern allows are listed. */
const MAX_LISTED = 500

export function objectTable(properties: Properties, builder: NodeBuilder, at: string): ObjectTable[] {
  const names = new Set([...properties.named.keys(), ...properties.required])
  for (const { names: subject } of [...properties.rules, ...properties.counts])
    if (subject.type === 'others') for (const name of subject.names) names.add(name)
  const others = otherNames(properties, names, builder, at)
  for (const name of others.listed) names.add(name)
  // In the order of the schema; required names that it does not describe come last.
  const order = [...names]
  const sorted = [...order].sort()
  const { tools } = builder.expander
  const options = sorted.map((name) => {
    const value = valueOf(properties, name, tools)
    const counted = countedBy(properties, (count) => includes(count, name, tools))
    return optionsOf(value, counted, (expression) => builder.node(expression, at), at)
  })
  const places = new Map(order.map((name, i) => [name, i]))
  return [
    {
      names: sorted,
      order: builder.ordered ? sorted.map((name) => places.get(name)!) : null,
      required: sorted.map((name) => properties.required.has(name)),
      options,
      others: others.table,
      counters: properties.counts.map(({ min, max }) => ({ min, max })),
      min: properties.min,
      max: properties.max,
    },
  ]
}

function countedBy(
  { counts }: Properties,
  applies: (names: Names) => boolean,
): { readonly counter: number; readonly value: Expression }[] {
  return counts.flatMap(({ names, value }, counter) => (applies(names) ? [{ counter, value }] : []))
}

interface OtherNames {
  readonly table: ObjectTable['others']
  /** Names that are few enough to be listed with the others. */
  readonly listed: readonly string[]
}

/** Names beside the listed ones, told apart by what is said about them. */
function otherNames(properties: Properties, names: ReadonlySet<string>, builder: NodeBuilder, at: string): OtherNames {
  const subjects = [...properties.rules.map((rule) => rule.names), ...properties.counts.map((count) => count.names)]
  const automata: Dfa[] = []
  const tests = subjects.map((subject) => testOf(subject, automata, builder, at))
  const optionsFor = (labels: readonly number[]): Option[] => {
    const applying = tests.map((test) => test(labels))
    const value = properties.rules.reduce((sum, rule, i) => (applying[i] ? both(sum, rule.value) : sum), ANYTHING)
    const counted = properties.counts.flatMap((count, counter) =>
      applying[properties.rules.length + counter] ? [{ counter, value: count.value }] : [],
    )
    return optionsOf(value, counted, (expression) => builder.node(expression, at), at)
  }
  if (automata.length === 0) {
    const options = optionsFor([])
    return { table: options.length === 0 ? null : { dfa: null, options: [options], capacity: Infinity }, listed: [] }
  }
  const known = new Map<string, number>()
  const options: Option[][] = []
  const label = (labels: readonly number[]): number => {
    const own = labels.at(-1)!
    if (own >= 0) return -1
    const key = tests.map((test) => (test(labels) ? 1 : 0)).join('')
    const found = known.get(key)
    if (found !== undefined) return found
    const made = optionsFor(labels)
    const number = made.length === 0 ? -1 : options.push(made) - 1
    known.set(key, number)
    return number
  }
  const dfa = product([...automata, wordsDfa(names, builder.budget, at)], label, builder.budget, at)
  const capacity = textCount(dfa, 100_000)
  if (capacity === 0) return { table: null, listed: [] }
  if (capacity <= MAX_LISTED) return { table: null, listed: textsOf(dfa) }
  return { table: { dfa, options, capacity }, listed: [] }
}

/** Whether something is said about a name, from what the automata say of it. */
function testOf(
  names: Names,
  automata: Dfa[],
  builder: NodeBuilder,
  at: string,
): (labels: readonly number[]) => boolean {
  const matching = (languages: readonly Language[]): ((labels: readonly number[]) => boolean) => {
    const indices = languages.map(({ dfa }) => indexIn(automata, dfa))
    return (labels) => languages.every(({ negated }, i) => labels[indices[i]!]! >= 0 !== negated)
  }
  switch (names.type) {
    case 'every':
      return () => true
    case 'pattern':
      return matching(names.languages)
    case 'others': {
      const patterns = names.patterns.map(matching)
      // A name that one keyword lists may be among the others of another one: those are settled name by name.
      return (labels) => !patterns.some((test) => test(labels))
    }
    case 'failing': {
      const fitting = fittingNames(names.name, builder, at).map((dfa) => indexIn(automata, dfa))
      return (labels) => !fitting.some((index) => labels[index]! >= 0)
    }
  }
}

function indexIn(automata: Dfa[], dfa: Dfa): number {
  const known = automata.indexOf(dfa)
  return known >= 0 ? known : automata.push(dfa) - 1
}

/** Names that fit a schema, as automata of which one accepts. */
function fittingNames(name: Expression, { expander, budget }: NodeBuilder, at: string): Dfa[] {
  return expander.expand(name, STRING_KIND).map(({ all: { min, max, languages, only, not } }) => {
    if (only) return wordsDfa(only, budget, at)
    const excluded = not.length === 0 ? [] : [{ dfa: wordsDfa(not, budget, at), negated: true }]
    const length = { dfa: lengthDfa(min, max, budget, at), negated: false }
    return intersection([length, ...languages, ...excluded], budget, at)
  })
}
