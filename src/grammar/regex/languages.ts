import type { Budget } from '../limits.ts'
import type { Dfa } from './dfa.ts'
import { alphabetOf, classWidths, dfaOf, trimmed } from './dfa.ts'
import { nfaOf } from './nfa.ts'
import type { Regex } from './pattern.ts'
import { parsePattern, PatternError } from './pattern.ts'

/** A language of texts, or what is not in it. */
export interface Language {
  readonly dfa: Dfa
  readonly negated: boolean
}

/** The languages that a text must be in to match a JSON Schema `pattern`, which may match anywhere. Throws `PatternError`. */
export function patternLanguages(source: string, budget: Budget, at: string): readonly Language[] {
  const [aheads, rest] = leadingAheads(parsePattern(source))
  const search = (regex: Regex): Dfa => dfaOf(nfaOf(regex, true, budget, at), budget, at)
  const start: Regex = { type: 'assert', at: 'start' }
  return [
    ...aheads.map(({ part, negated }) => ({ dfa: search({ type: 'all', parts: [start, part] }), negated })),
    { dfa: search(rest), negated: false },
  ]
}

/** Texts that match the pattern as a whole. Throws `PatternError`. */
export function wholePattern(source: string, budget: Budget, at: string): Dfa {
  const [aheads, rest] = leadingAheads({ type: 'all', parts: [{ type: 'assert', at: 'start' }, parsePattern(source)] })
  const whole = dfaOf(nfaOf(rest, false, budget, at), budget, at)
  if (aheads.length === 0) return whole
  const start: Regex = { type: 'assert', at: 'start' }
  const others = aheads.map(({ part, negated }) => ({
    dfa: dfaOf(nfaOf({ type: 'all', parts: [start, part] }, true, budget, at), budget, at),
    negated,
  }))
  return intersection([{ dfa: whole, negated: false }, ...others], budget, at)
}

type Ahead = Extract<Regex, { type: 'ahead' }>

/** Lookaheads right after a leading `^` speak of the whole text, as the rest does. */
function leadingAheads(regex: Regex): readonly [readonly Ahead[], Regex] {
  const parts = flat(regex)
  const first = parts.findIndex((part) => part.type !== 'assert' || part.at !== 'start')
  const aheads: Ahead[] = []
  let at = first
  for (let part = parts[at]; part?.type === 'ahead'; part = parts[++at]) aheads.push(part)
  if (aheads.length === 0) return [aheads, regex]
  if (first === 0) throw new PatternError('a lookahead can be enforced only directly after a leading `^`')
  return [aheads, { type: 'all', parts: [...parts.slice(0, first), ...parts.slice(at)] }]
}

function flat(regex: Regex): readonly Regex[] {
  return regex.type === 'all' ? regex.parts.flatMap(flat) : [regex]
}

/** Exactly these texts. */
export function wordsDfa(words: Iterable<string>, budget: Budget, at: string): Dfa {
  const children = [new Map<number, number>()]
  const labels = [-1]
  const points = new Set<number>()
  for (const word of words) {
    let state = 0
    for (const character of word) {
      const point = character.codePointAt(0)!
      points.add(point)
      let to = children[state]!.get(point)
      if (to === undefined) {
        to = children.push(new Map<number, number>()) - 1
        labels.push(-1)
        children[state]!.set(point, to)
      }
      state = to
    }
    labels[state] = 0
  }
  const { samples, ...alphabet } = alphabetOf([...points].map((point) => [point, point]))
  budget.states(children.length * (1 + (alphabet.classCount >> 5)), at)
  const next = new Int32Array(children.length * alphabet.classCount).fill(-1)
  for (const [state, map] of children.entries())
    for (const [c, sample] of samples.entries()) next[state * alphabet.classCount + c] = map.get(sample) ?? -1
  return trimmed({ ...alphabet, next, labels: Int32Array.from(labels) })
}

/** Texts of `min` to `max` characters. */
export function lengthDfa(min: number, max: number, budget: Budget, at: string): Dfa {
  const last = max === Infinity ? min : max
  budget.states(last + 1, at)
  const next = Int32Array.from({ length: last + 1 }, (_, i) => (i < last ? i + 1 : max === Infinity ? i : -1))
  const labels = Int32Array.from({ length: last + 1 }, (_, i) => (i >= min && i <= max ? 0 : -1))
  return trimmed({ bounds: Int32Array.of(0), classes: Int32Array.of(0), classCount: 1, next, labels })
}

/** Texts in all of the languages. */
export function intersection(languages: readonly Language[], budget: Budget, at: string): Dfa {
  if (languages.length === 1 && !languages[0]!.negated) return languages[0]!.dfa
  const agrees = (labels: readonly number[]): number =>
    labels.every((label, i) => label >= 0 !== languages[i]!.negated) ? 0 : -1
  return product(
    languages.map(({ dfa }) => dfa),
    agrees,
    budget,
    at,
  )
}

/** Runs all automata at once; `label` says what a text is from what each of them says of it (-1 = not accepted). */
export function product(
  dfas: readonly Dfa[],
  label: (labels: readonly number[]) => number,
  budget: Budget,
  at: string,
): Dfa {
  const { samples, ...alphabet } = mergedAlphabet(dfas)
  const ids = new Map<string, number>()
  const tuples: (readonly number[])[] = []
  const idOf = (tuple: readonly number[]): number => {
    const key = tuple.join(',')
    const known = ids.get(key)
    if (known !== undefined) return known
    budget.states(1 + (alphabet.classCount >> 5), at)
    ids.set(key, tuples.length)
    return tuples.push(tuple) - 1
  }
  idOf(dfas.map((dfa) => (dfa.labels.length === 0 ? -1 : 0)))
  const next: number[] = []
  const labels: number[] = []
  for (let id = 0; id < tuples.length; id++) {
    const tuple = tuples[id]!
    labels.push(label(tuple.map((state, i) => (state < 0 ? -1 : dfas[i]!.labels[state]!))))
    for (const classes of samples)
      next.push(
        idOf(tuple.map((state, i) => (state < 0 ? -1 : dfas[i]!.next[state * dfas[i]!.classCount + classes[i]!]!))),
      )
  }
  return trimmed({ ...alphabet, next: Int32Array.from(next), labels: Int32Array.from(labels) })
}

/** The common refinement of the alphabets; `samples` has, per class, each automaton's own class. */
function mergedAlphabet(
  dfas: readonly Dfa[],
): Pick<Dfa, 'bounds' | 'classes' | 'classCount'> & { readonly samples: number[][] } {
  const bounds = Int32Array.from(new Set(dfas.flatMap((dfa) => [...dfa.bounds]))).sort()
  const positions = dfas.map(() => 0)
  const numbers = new Map<string, number>()
  const samples: number[][] = []
  const classes = bounds.map((first) => {
    const own = dfas.map((dfa, i) => {
      while (positions[i]! + 1 < dfa.bounds.length && dfa.bounds[positions[i]! + 1]! <= first) positions[i]!++
      return dfa.classes[positions[i]!]!
    })
    const key = own.join(',')
    const known = numbers.get(key)
    if (known !== undefined) return known
    numbers.set(key, samples.length)
    return samples.push(own) - 1
  })
  return { bounds, classes, classCount: samples.length, samples }
}

/** How many texts lead from each state to a label: exact up to `limit`, `Infinity` where there are more or no end. */
export function textCount(dfa: Dfa, limit: number): number {
  if (dfa.labels.length === 0) return 0
  const widths = classWidths(dfa)
  const counts = new Map<number, number>()
  const open = new Set<number>()
  const count = (state: number): number => {
    const known = counts.get(state)
    if (known !== undefined) return known
    if (open.has(state) || open.size > 2_000) return Infinity
    open.add(state)
    let sum = dfa.labels[state]! >= 0 ? 1 : 0
    for (let c = 0; c < dfa.classCount && sum <= limit; c++) {
      const to = dfa.next[state * dfa.classCount + c]!
      if (to >= 0 && widths[c]! > 0) sum += widths[c]! * count(to)
    }
    open.delete(state)
    const out = sum > limit ? Infinity : sum
    counts.set(state, out)
    return out
  }
  return count(0)
}

/** All texts of an automaton that accepts only a few. */
export function textsOf(dfa: Dfa): string[] {
  const out: string[] = []
  const visit = (state: number, text: string): void => {
    if (dfa.labels[state]! >= 0) out.push(text)
    for (const [i, first] of dfa.bounds.entries()) {
      const to = dfa.next[state * dfa.classCount + dfa.classes[i]!]!
      const end = dfa.bounds[i + 1] ?? 0x110000
      for (let point = first; to >= 0 && point < end; point++)
        if (point < 0xd800 || point > 0xdfff) visit(to, text + String.fromCodePoint(point))
    }
  }
  if (dfa.labels.length > 0) visit(0, '')
  return out
}
