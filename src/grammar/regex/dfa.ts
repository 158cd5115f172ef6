import type { Budget } from '../limits.ts'
import type { CodePoints } from './code-points.ts'
import { contains, WORD } from './code-points.ts'
import type { Nfa } from './nfa.ts'

/** An automaton over code points. State 0 begins; every transition leads to a state from which a label can be reached. Plain data. */
export interface Dfa {
  /** First code points of ranges that behave alike, ascending from 0. */
  readonly bounds: Int32Array
  /** The class of each range. */
  readonly classes: Int32Array
  readonly classCount: number
  /** `[state × class]`: the next state, -1 = none. */
  readonly next: Int32Array
  /** What a text that ends in this state is; -1 = not accepted. */
  readonly labels: Int32Array
}

/** The class of a code point. */
export function classOf(dfa: Pick<Dfa, 'bounds' | 'classes'>, point: number): number {
  let low = 0
  let high = dfa.bounds.length - 1
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if (dfa.bounds[middle]! <= point) low = middle
    else high = middle - 1
  }
  return dfa.classes[low]!
}

export function stepDfa(dfa: Dfa, state: number, point: number): number {
  return dfa.next[state * dfa.classCount + classOf(dfa, point)]!
}

/** The label of a text; -1 = not accepted. */
export function runDfa(dfa: Dfa, text: string): number {
  let state = dfa.labels.length === 0 ? -1 : 0
  for (const character of text) {
    if (state < 0) return -1
    state = stepDfa(dfa, state, character.codePointAt(0)!)
  }
  return state < 0 ? -1 : dfa.labels[state]!
}

export function isEmptyDfa(dfa: Dfa): boolean {
  return dfa.labels.length === 0
}

/** Ranges of code points on which all `sets` agree, numbered by what they say. */
export function alphabetOf(
  sets: readonly CodePoints[],
): Pick<Dfa, 'bounds' | 'classes' | 'classCount'> & { readonly samples: number[] } {
  const bounds = new Set([0])
  for (const set of sets)
    for (let i = 0; i < set.length; i += 2) {
      bounds.add(set[i]!)
      if (set[i + 1]! < 0x10ffff) bounds.add(set[i + 1]! + 1)
    }
  const sorted = Int32Array.from(bounds).sort()
  const numbers = new Map<string, number>()
  const samples: number[] = []
  const positions = sets.map(() => 0)
  const classes = sorted.map((first) => {
    // The sets are walked beside the bounds: all of them ascend.
    const inside = sets.map((set, s) => {
      while (positions[s]! < set.length && set[positions[s]! + 1]! < first) positions[s]! += 2
      return positions[s]! < set.length && set[positions[s]!]! <= first ? '1' : '0'
    })
    const key = inside.join('')
    const known = numbers.get(key)
    if (known !== undefined) return known
    numbers.set(key, samples.length)
    return samples.push(first) - 1
  })
  return { bounds: sorted, classes, classCount: samples.length, samples }
}

/** What stands before a position. */
const BEFORE = { start: 0, word: 1, other: 2 } as const

/** Subset construction. Assertions are settled when the next character is known. */
export function dfaOf(nfa: Nfa, budget: Budget, at: string): Dfa {
  const { states } = nfa
  const sets = [...new Set(states.flatMap(({ set }) => (set ? [set] : [])))]
  const guards = new Set(states.flatMap(({ guarded }) => guarded.map((guard) => guard.at)))
  const words = guards.has('word') || guards.has('inside')
  const { samples, ...alphabet } = alphabetOf(words ? [...sets, WORD] : sets)
  const isWord = samples.map((sample) => contains(WORD, sample))
  const members = new Map(sets.map((set) => [set, samples.map((sample) => contains(set, sample))]))

  const closure = (kernel: readonly number[], previous: number, next: 'word' | 'other' | 'end'): readonly number[] => {
    const seen = new Set(kernel)
    const holds = (assertion: string): boolean => {
      if (assertion === 'start') return previous === BEFORE.start
      if (assertion === 'end') return next === 'end'
      return (previous === BEFORE.word) === (next === 'word') ? assertion === 'inside' : assertion === 'word'
    }
    for (const id of seen) {
      for (const to of states[id]!.free) seen.add(to)
      for (const guard of states[id]!.guarded) if (holds(guard.at)) seen.add(guard.to)
    }
    return [...seen]
  }

  const ids = new Map<string, number>()
  const kernels: { readonly kernel: readonly number[]; readonly previous: number }[] = []
  const idOf = (kernel: readonly number[], previous: number): number => {
    const context = words ? previous : guards.has('start') ? Math.min(previous, 1) : 1
    const key = `${context}|${kernel.join(',')}`
    const known = ids.get(key)
    if (known !== undefined) return known
    budget.states(1 + (alphabet.classCount >> 5), at)
    ids.set(key, kernels.length)
    return kernels.push({ kernel, previous: context }) - 1
  }
  idOf([nfa.start], BEFORE.start)
  const next: number[] = []
  const labels: number[] = []
  for (let id = 0; id < kernels.length; id++) {
    const { kernel, previous } = kernels[id]!
    labels.push(closure(kernel, previous, 'end').includes(nfa.accept) ? 0 : -1)
    const plain = closure(kernel, previous, 'other')
    const beforeWord = words ? closure(kernel, previous, 'word') : plain
    for (let c = 0; c < alphabet.classCount; c++) {
      const from = isWord[c] ? beforeWord : plain
      // A match that needs no end goes on whatever follows.
      const open = from.includes(nfa.accept) && nfa.searches
      const targets = open
        ? [nfa.accept]
        : [...new Set(from.filter((s) => states[s]!.set && members.get(states[s]!.set)![c]).map((s) => states[s]!.to))]
      next.push(
        targets.length === 0
          ? -1
          : idOf(
              targets.sort((a, b) => a - b),
              isWord[c] ? BEFORE.word : BEFORE.other,
            ),
      )
    }
  }
  return trimmed({ ...alphabet, next: Int32Array.from(next), labels: Int32Array.from(labels) })
}

/** Without transitions into states that reach no label; no states at all when nothing is accepted. */
export function trimmed(dfa: Dfa): Dfa {
  const count = dfa.labels.length
  const widths = classWidths(dfa)
  for (let i = 0; i < dfa.next.length; i++) if (widths[i % dfa.classCount] === 0) dfa.next[i] = -1
  const before: number[][] = Array.from({ length: count }, () => [])
  for (let state = 0; state < count; state++)
    for (let c = 0; c < dfa.classCount; c++) {
      const to = dfa.next[state * dfa.classCount + c]!
      if (to >= 0) before[to]!.push(state)
    }
  const alive = new Set<number>()
  for (let state = 0; state < count; state++) if (dfa.labels[state]! >= 0) alive.add(state)
  for (const state of alive) for (const from of before[state]!) alive.add(from)
  if (!alive.has(0)) return { ...dfa, next: new Int32Array(0), labels: new Int32Array(0) }
  const next = dfa.next.map((to) => (to >= 0 && alive.has(to) ? to : -1))
  return { ...dfa, next }
}

/** How many characters each class has. Surrogates are none. */
export function classWidths(dfa: Pick<Dfa, 'bounds' | 'classes' | 'classCount'>): Float64Array {
  const widths = new Float64Array(dfa.classCount)
  for (const [i, first] of dfa.bounds.entries()) {
    const end = dfa.bounds[i + 1] ?? 0x110000
    const surrogates = Math.max(0, Math.min(end, 0xe000) - Math.max(first, 0xd800))
    widths[dfa.classes[i]!]! += end - first - surrogates
  }
  return widths
}
