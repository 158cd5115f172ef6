import type { Thread } from '../automaton.ts'
import type { CharacterReader } from './character-reader.ts'
import { IN_STRING } from './character-reader.ts'
import type { TextState } from './text-state.ts'
import type { JsonThreads, TextEnd } from './thread.ts'
import { JsonThread, QUOTE } from './thread.ts'

/** Inside a string. */
export class TextThread extends JsonThread {
  readonly #state: TextState
  /** What tells texts apart that have the same state: their table and what follows. */
  readonly #tag: string
  readonly #end: TextEnd
  readonly #reading: CharacterReader

  constructor(machine: JsonThreads, state: TextState, tag: string, end: TextEnd, reading: CharacterReader) {
    super(machine)
    this.#state = state
    this.#tag = tag
    this.#end = end
    this.#reading = reading
  }

  override get plain(): number {
    return this.#reading === IN_STRING ? this.#state.plain : 0
  }

  step(byte: number, out: Thread[]): void {
    if (byte === QUOTE && this.#reading === IN_STRING) {
      if (this.#state.canEnd) this.#end(this.#state, out)
      return
    }
    const read = this.#reading.next(byte)
    if (read === null) return
    if (typeof read === 'number') {
      const next = this.#state.step(read)
      if (next) out.push(this.machine.text(next, this.#tag, this.#end))
    } else if (read.ranges.some(([first, last]) => this.#state.goesOn(first, last)))
      out.push(this.machine.text(this.#state, this.#tag, this.#end, read))
  }
}
