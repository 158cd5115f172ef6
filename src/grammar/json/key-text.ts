import type { Dfa } from '../regex/dfa.ts'
import { trimmed } from '../regex/dfa.ts'
import type { ObjectProgress } from './completion.ts'
import type { ObjectTable, Option } from './tables.ts'
import type { TextState, WordRange } from './text-state.ts'
import { DfaText, narrowed } from './text-state.ts'

/** A name with the options for its value. `index` -1 = none of the table's names. */
interface Choice {
  readonly options: readonly Option[]
  readonly index: number
}

/** What holds for all names at one place of one object. */
interface KeyPlace {
  readonly table: ObjectTable
  readonly progress: ObjectProgress
  readonly possible: (choice: Choice) => boolean
  readonly known: Map<number, boolean>
  /** Whether names beside the table's are told apart. */
  readonly remembers: boolean
  /** With a fixed order: the place of the last name that is there, and of the next one that is required. */
  readonly after: number
  readonly until: number
}

/** A property name read so far: one of the table's names, or another one. */
export class KeyText implements TextState {
  readonly key: string
  readonly #place: KeyPlace
  readonly #range: WordRange
  /** `free`: any other name; null: none. */
  readonly #other: DfaText | 'free' | null
  /** Kept where names are told apart. */
  readonly text: string

  private constructor(place: KeyPlace, range: WordRange, other: DfaText | 'free' | null, text: string) {
    this.#place = place
    this.#range = range
    this.#other = other
    this.text = text
    const names = range.low < range.high ? `${range.low} ${range.high} ${range.depth}` : ''
    this.key = `${names}/${other === null || other === 'free' ? other : other.key}/${text}`
  }

  static start(table: ObjectTable, progress: ObjectProgress, possible: (choice: Choice) => boolean): KeyText {
    const remembers = table.max < Infinity || table.min > 0 || table.counters.length > 0
    const place: KeyPlace = { table, progress, possible, known: new Map(), remembers, ...window(table, progress) }
    const range = { low: 0, high: table.names.length, depth: 0 }
    return new KeyText(place, range, otherNames(place), '')
  }

  /** The name's place in the table; -1 = another name. */
  get index(): number {
    const { low, high, depth } = this.#range
    return low < high && this.#place.table.names[low]!.length === depth ? low : -1
  }

  /** What another name is; -1 = not allowed. */
  get label(): number {
    if (this.#other === null) return -1
    return this.#other === 'free' ? 0 : this.#other.label
  }

  get options(): readonly Option[] {
    const { table } = this.#place
    const { index, label } = this
    if (index >= 0) return table.options[index]!
    return label < 0 ? [] : table.others!.options[label]!
  }

  get canEnd(): boolean {
    const { index, label } = this
    if (index >= 0) return this.#allows(index)
    return label >= 0 && !(this.#place.remembers && this.#place.progress.others.includes(this.text))
  }

  get plain(): number {
    return this.#other === 'free' ? Infinity : (this.#other?.plain ?? 0)
  }

  step(point: number): TextState | null {
    const { table, remembers } = this.#place
    const range = this.#range.low < this.#range.high ? narrowed(table.names, this.#range, point) : this.#range
    const other = this.#other === 'free' ? 'free' : (this.#other?.step(point) ?? null)
    const text = remembers && other !== null ? this.text + String.fromCodePoint(point) : ''
    const next = new KeyText(this.#place, range, other, text)
    return other !== null || next.#hasName(0, 0x10ffff) || next.canEnd ? next : null
  }

  goesOn(first: number, last: number): boolean {
    if (this.#other === 'free' || this.#other?.goesOn(first, last)) return true
    return this.#hasName(first, last)
  }

  /** Whether a name of the table goes on with a character between two. */
  #hasName(first: number, last: number): boolean {
    const { low, high, depth } = this.#range
    for (let i = low; i < high; i++) {
      const point = this.#place.table.names[i]!.codePointAt(depth)
      if (point !== undefined && point >= first && point <= last && this.#allows(i)) return true
    }
    return false
  }

  #allows(index: number): boolean {
    const { known } = this.#place
    const found = known.get(index)
    if (found !== undefined) return found
    const allowed = this.#isAllowed(index)
    known.set(index, allowed)
    return allowed
  }

  #isAllowed(index: number): boolean {
    const { table, progress, possible } = this.#place
    if (progress.seen.includes(index) || !possible({ options: table.options[index]!, index })) return false
    const rank = table.order?.[index] ?? 0
    return !table.order || (rank > this.#place.after && rank <= this.#place.until)
  }
}

function window({ order, required }: ObjectTable, { seen }: ObjectProgress): { after: number; until: number } {
  if (!order) return { after: -1, until: Infinity }
  const after = seen.reduce((last, i) => Math.max(last, order[i]!), -1)
  let until = Infinity
  for (let i = 0; i < required.length; i++) if (required[i] && order[i]! > after) until = Math.min(until, order[i]!)
  return { after, until }
}

const RESTRICTED = new WeakMap<Dfa, Map<string, Dfa>>()

/** The names beside the table's for which the object can still be completed. */
function otherNames({ table, possible }: KeyPlace): DfaText | 'free' | null {
  const { others } = table
  if (!others) return null
  const labels = others.options.map((options) => possible({ options, index: -1 }))
  if (!labels.includes(true)) return null
  if (!others.dfa) return 'free'
  if (labels.every(Boolean)) return new DfaText(others.dfa, 0)
  const known = RESTRICTED.get(others.dfa) ?? new Map<string, Dfa>()
  RESTRICTED.set(others.dfa, known)
  const key = labels.join()
  const made =
    known.get(key) ??
    trimmed({ ...others.dfa, labels: others.dfa.labels.map((label) => (label >= 0 && labels[label] ? label : -1)) })
  known.set(key, made)
  return made.labels.length === 0 ? null : new DfaText(made, 0)
}
