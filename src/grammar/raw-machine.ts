import type { Automaton, State, Thread } from './automaton.ts'
import { States } from './automaton.ts'
import type { CharacterReader } from './json/character-reader.ts'
import { IN_TEXT } from './json/character-reader.ts'
import type { TextTable } from './json/tables.ts'
import type { TextState } from './json/text-state.ts'
import { textStart } from './json/text-state.ts'

const MAX_STATES = 20_000

/** Reads text as it stands: a regular expression or a list of choices. */
export class RawMachine implements Automaton {
  readonly #table: TextTable
  readonly #states = new States(MAX_STATES)
  #threads = new Map<string, Thread>()
  #ids = 0

  constructor(table: TextTable) {
    this.#table = table
  }

  start(): State {
    return this.#states.of([this.text(textStart(this.#table), IN_TEXT)])
  }

  text(state: TextState, reading: CharacterReader): Thread {
    const key = `${state.key}|${reading.key}`
    const known = this.#threads.get(key)
    if (known) return known
    if (this.#threads.size >= MAX_STATES) this.#threads = new Map()
    const thread = new RawThread(this, this.#ids++, state, reading)
    this.#threads.set(key, thread)
    return thread
  }
}

class RawThread implements Thread {
  readonly id: number
  readonly #machine: RawMachine
  readonly #state: TextState
  readonly #reading: CharacterReader

  constructor(machine: RawMachine, id: number, state: TextState, reading: CharacterReader) {
    this.#machine = machine
    this.id = id
    this.#state = state
    this.#reading = reading
  }

  get canEnd(): boolean {
    return this.#state.canEnd && this.#reading === IN_TEXT
  }

  get plain(): number {
    return this.#reading === IN_TEXT ? this.#state.plain : 0
  }

  step(byte: number, out: Thread[]): void {
    const read = this.#reading.next(byte)
    if (read === null) return
    if (typeof read === 'number') {
      const next = this.#state.step(read)
      if (next) out.push(this.#machine.text(next, IN_TEXT))
    } else if (read.ranges.some(([first, last]) => this.#state.goesOn(first, last)))
      out.push(this.#machine.text(this.#state, read))
  }
}
