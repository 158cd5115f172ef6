import type { Thread } from '../automaton.ts'
import type { CharacterReader } from '../json/character-reader.ts'
import { IN_TEXT } from '../json/character-reader.ts'
import type { TextState } from '../json/text-state.ts'
import type { RulePart } from './tables.ts'
import type { RuleThreads } from './thread.ts'
import { RuleThread } from './thread.ts'

/** Some bytes of a literal were read. */
export class LiteralThread extends RuleThread {
  readonly #number: number
  readonly #at: number
  readonly #up: RuleThread

  constructor(machine: RuleThreads, number: number, at: number, up: RuleThread) {
    super(machine)
    this.#number = number
    this.#at = at
    this.#up = up
  }

  protected go(byte: number, out: Thread[]): void {
    const { bytes } = this.machine.tables.parts[this.#number] as Extract<RulePart, { type: 'literal' }>
    const next = this.#at + 1
    if (bytes[this.#at] !== byte) return
    out.push(next === bytes.length ? this.#up : this.machine.literal(this.#number, next, this.#up))
  }
}

/** One character is due, of which some bytes may have been read. */
export class CharacterThread extends RuleThread {
  readonly #number: number
  readonly #reading: CharacterReader
  readonly #up: RuleThread

  constructor(machine: RuleThreads, number: number, reading: CharacterReader, up: RuleThread) {
    super(machine)
    this.#number = number
    this.#reading = reading
    this.#up = up
  }

  protected go(byte: number, out: Thread[]): void {
    const { ranges } = this.machine.tables.parts[this.#number] as Extract<RulePart, { type: 'character' }>
    const read = this.#reading.next(byte)
    if (read === null) return
    const may = (first: number, last: number): boolean => ranges.some(([from, to]) => from <= last && to >= first)
    if (typeof read === 'number') {
      if (may(read, read)) out.push(this.#up)
    } else if (read.ranges.some(([first, last]) => may(first, last)))
      out.push(this.machine.character(this.#number, read, this.#up))
  }
}

/** Inside a text: a regular expression or a list of choices. */
export class TextThread extends RuleThread {
  override readonly canEnd: boolean
  override readonly plain: number
  readonly #number: number
  readonly #state: TextState
  readonly #reading: CharacterReader
  readonly #up: RuleThread

  constructor(machine: RuleThreads, number: number, state: TextState, reading: CharacterReader, up: RuleThread) {
    super(machine)
    this.#number = number
    this.#state = state
    this.#reading = reading
    this.#up = up
    const between = reading === IN_TEXT
    this.canEnd = between && state.canEnd && up.canEnd
    this.plain = between ? state.plain : 0
  }

  protected go(byte: number, out: Thread[]): void {
    const [number, state, up] = [this.#number, this.#state, this.#up]
    if (this.#reading === IN_TEXT && state.canEnd) up.step(byte, out)
    const read = this.#reading.next(byte)
    if (read === null) return
    if (typeof read === 'number') {
      const next = state.step(read)
      if (next) out.push(this.machine.text(number, next, IN_TEXT, up))
    } else if (read.ranges.some(([first, last]) => state.goesOn(first, last)))
      out.push(this.machine.text(number, state, read, up))
  }
}
