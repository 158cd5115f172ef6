import type { Thread } from '../automaton.ts'
import { EMPTY_ARRAY, EMPTY_OBJECT } from './completion.ts'
import type { NumberState } from './number-state.ts'
import { numberStart } from './number-state.ts'
import { textStart } from './text-state.ts'
import type { JsonThreads } from './thread.ts'
import { JsonThread, QUOTE } from './thread.ts'

/** A value is due. */
export class ValueThread extends JsonThread {
  readonly #node: number
  readonly #up: Thread
  readonly #blank: number

  constructor(machine: JsonThreads, node: number, up: Thread, blank: number) {
    super(machine)
    this.#node = node
    this.#up = up
    this.#blank = blank
  }

  step(byte: number, out: Thread[]): void {
    const { machine } = this
    const up = this.#up
    const blank = this.blankAfter(this.#blank, byte)
    if (blank > 0) out.push(machine.value(this.#node, up, blank))
    const node = machine.nodes[this.#node]!
    switch (byte) {
      case QUOTE:
        for (const table of node.strings) {
          const tag = `${machine.numberOf(table)} ${up.id}`
          out.push(machine.text(textStart(table), tag, (_, ends) => void ends.push(up)))
        }
        return
      case 0x7b:
        for (const table of node.objects) out.push(machine.object(table, EMPTY_OBJECT(table), 'open', up))
        return
      case 0x5b:
        for (const table of node.arrays) {
          out.push(machine.array(table, EMPTY_ARRAY(table), 'open', up))
        }
        return
      case 0x6e:
        if (node.null) out.push(machine.word('null', 1, up))
        return
      case 0x74:
        if (node.true) out.push(machine.word('true', 1, up))
        return
      case 0x66:
        if (node.false) out.push(machine.word('false', 1, up))
        return
    }
    if (byte !== 0x2d && (byte < 0x30 || byte > 0x39)) return
    for (const table of node.numbers) {
      const state = numberStart(table).step(byte)
      if (state) out.push(machine.number(state, machine.numberOf(table), up))
    }
  }
}

export class WordThread extends JsonThread {
  readonly #word: string
  readonly #at: number
  readonly #up: Thread

  constructor(machine: JsonThreads, word: string, at: number, up: Thread) {
    super(machine)
    this.#word = word
    this.#at = at
    this.#up = up
  }

  step(byte: number, out: Thread[]): void {
    if (byte === this.#word.charCodeAt(this.#at)) out.push(this.machine.word(this.#word, this.#at + 1, this.#up))
  }
}

/** A number ends where something else begins. */
export class NumberThread extends JsonThread {
  override readonly canEnd: boolean
  readonly #state: NumberState
  readonly #table: number
  readonly #up: Thread

  constructor(machine: JsonThreads, state: NumberState, table: number, up: Thread) {
    super(machine)
    this.#state = state
    this.#table = table
    this.#up = up
    this.canEnd = state.canEnd && up.canEnd
  }

  step(byte: number, out: Thread[]): void {
    const next = this.#state.step(byte)
    if (next) out.push(this.machine.number(next, this.#table, this.#up))
    if (this.#state.canEnd) this.#up.step(byte, out)
  }
}
