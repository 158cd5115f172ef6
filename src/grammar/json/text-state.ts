import type { Dfa } from '../regex/dfa.ts'
import { stepDfa } from '../regex/dfa.ts'
import type { TextTable } from './tables.ts'

/** A text read so far, character by character. Equal keys behave alike. */
export interface TextState {
  readonly key: string
  readonly canEnd: boolean
  /** So many plain characters may follow, whichever they are; 0 where it depends on them. */
  readonly plain: number
  step(point: number): TextState | null
  /** Whether a character between two may follow. */
  goesOn(first: number, last: number): boolean
}

export function textStart(table: TextTable): TextState {
  if (table.words) return new WordText(table.words, 0, table.words.length, 0)
  return table.dfa ? new DfaText(table.dfa, 0) : new CountedText(table.min, table.max, 0)
}

/** Any text of some length. */
class CountedText implements TextState {
  readonly key: string
  readonly #min: number
  readonly #max: number
  readonly #count: number

  constructor(min: number, max: number, count: number) {
    this.#min = min
    this.#max = max
    this.#count = max === Infinity ? Math.min(min, count) : count
    this.key = String(this.#count)
  }

  get canEnd(): boolean {
    return this.#count >= this.#min
  }

  get plain(): number {
    return this.#max - this.#count
  }

  step(): TextState | null {
    return this.#count < this.#max ? new CountedText(this.#min, this.#max, this.#count + 1) : null
  }

  goesOn(): boolean {
    return this.#count < this.#max
  }
}

/** States of an automaton from which every plain text goes on. */
const FREE_STATES = new WeakMap<Dfa, Uint8Array>()

export class DfaText implements TextState {
  readonly key: string
  readonly #dfa: Dfa
  readonly #state: number

  constructor(dfa: Dfa, state: number) {
    this.#dfa = dfa
    this.#state = state
    this.key = String(state)
  }

  get label(): number {
    return this.#dfa.labels[this.#state]!
  }

  get canEnd(): boolean {
    return this.label >= 0
  }

  get plain(): number {
    let free = FREE_STATES.get(this.#dfa)
    if (!free) FREE_STATES.set(this.#dfa, (free = freeStates(this.#dfa)))
    return free[this.#state] === 1 ? Infinity : 0
  }

  step(point: number): DfaText | null {
    const next = stepDfa(this.#dfa, this.#state, point)
    return next < 0 ? null : new DfaText(this.#dfa, next)
  }

  goesOn(first: number, last: number): boolean {
    const { bounds, classes, classCount, next } = this.#dfa
    for (let i = 0; i < bounds.length && bounds[i]! <= last; i++) {
      const end = i + 1 < bounds.length ? bounds[i + 1]! - 1 : 0x10ffff
      if (end >= first && next[this.#state * classCount + classes[i]!]! >= 0) return true
    }
    return false
  }
}

function freeStates(dfa: Dfa): Uint8Array {
  const plain = new Set<number>()
  for (const [i, first] of dfa.bounds.entries()) {
    const last = (dfa.bounds[i + 1] ?? 0x110000) - 1
    // Quotes, backslashes and control characters are not plain; surrogates are no characters.
    const only = (from: number, to: number): boolean => first >= from && last <= to
    if (!only(0, 0x1f) && !only(0x22, 0x22) && !only(0x5c, 0x5c) && !only(0xd800, 0xdfff)) plain.add(dfa.classes[i]!)
  }
  const free = new Uint8Array(dfa.labels.length).fill(1)
  for (let changed = true; changed;) {
    changed = false
    // Backwards, since automata are numbered from their start on.
    for (let state = free.length - 1; state >= 0; state--) {
      if (free[state] === 0) continue
      for (const c of plain) {
        const to = dfa.next[state * dfa.classCount + c]!
        if (to >= 0 && free[to] === 1) continue
        free[state] = 0
        changed = true
        break
      }
    }
  }
  return free
}

/** The words of an ascending list that begin alike: `[low, high)`, with `depth` code units read. */
export interface WordRange {
  readonly low: number
  readonly high: number
  readonly depth: number
}

/** The words of a range that go on with a character. */
export function narrowed(words: readonly string[], range: WordRange, point: number): WordRange {
  if (point < 0x10000) return byUnit(words, range, point)
  const character = String.fromCodePoint(point)
  return byUnit(words, byUnit(words, range, character.charCodeAt(0)), character.charCodeAt(1))
}

function byUnit(words: readonly string[], { low, high, depth }: WordRange, unit: number): WordRange {
  const bound = (least: number): number => {
    let [from, to] = [low, high]
    while (from < to) {
      const middle = (from + to) >> 1
      const word = words[middle]!
      if (word.length > depth && word.charCodeAt(depth) >= least) to = middle
      else from = middle + 1
    }
    return from
  }
  return { low: bound(unit), high: bound(unit + 1), depth: depth + 1 }
}

/** One of a list of words. */
class WordText implements TextState {
  readonly key: string
  readonly plain = 0
  readonly #words: readonly string[]
  readonly #range: WordRange

  constructor(words: readonly string[], low: number, high: number, depth: number) {
    this.#words = words
    this.#range = { low, high, depth }
    this.key = `${low} ${high} ${depth}`
  }

  get canEnd(): boolean {
    return this.#words[this.#range.low]!.length === this.#range.depth
  }

  step(point: number): TextState | null {
    const { low, high, depth } = narrowed(this.#words, this.#range, point)
    return low < high ? new WordText(this.#words, low, high, depth) : null
  }

  goesOn(first: number, last: number): boolean {
    const { low, high, depth } = this.#range
    for (let i = low; i < high; i++) {
      const point = this.#words[i]!.codePointAt(depth)
      if (point !== undefined && point >= first && point <= last) return true
    }
    return false
  }
}
