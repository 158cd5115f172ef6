import type { Thread } from '../automaton.ts'
import type { CharacterReader } from './character-reader.ts'
import type { ArrayProgress, ObjectProgress } from './completion.ts'
import type { NumberState } from './number-state.ts'
import type { ArrayTable, NodeTable, ObjectTable } from './tables.ts'
import type { TextState } from './text-state.ts'

export const QUOTE = 0x22
export const COMMA = 0x2c

/** Longest indentation after a line break. */
const MAX_INDENT = 40

/** What stands before: the bracket, a value, or a comma. */
export type Phase = 'open' | 'value' | 'comma'

/** What follows a text: called with its state at the closing quote. */
export type TextEnd = (state: TextState, out: Thread[]) => void

/** Where threads get the next ones from. */
export interface JsonThreads {
  readonly nodes: readonly NodeTable[]
  /** Whether white space may stand between the parts. */
  readonly blanks: boolean
  /** The end of a value that nothing follows. */
  readonly end: Thread
  nextId(): number
  /** The thread of this key: equal keys, same thread. */
  shared(key: string, make: () => Thread): Thread
  /** A number for an object of the tables. */
  numberOf(table: object): number
  value(node: number, up: Thread, blank?: number): Thread
  text(state: TextState, tag: string, up: TextEnd, reading?: CharacterReader): Thread
  word(word: string, at: number, up: Thread): Thread
  number(state: NumberState, table: number, up: Thread): Thread
  array(table: ArrayTable, progress: ArrayProgress, phase: Phase, up: Thread, blank?: number): Thread
  object(table: ObjectTable, progress: ObjectProgress, phase: Phase, up: Thread, blank?: number): Thread
}

export abstract class JsonThread implements Thread {
  readonly id: number
  readonly canEnd: boolean = false
  protected readonly machine: JsonThreads

  constructor(machine: JsonThreads) {
    this.machine = machine
    this.id = machine.nextId()
  }

  get plain(): number {
    return 0
  }

  abstract step(byte: number, out: Thread[]): void

  /**
   * White space is one blank, or a line break and an indentation: a model cannot go on with it for ever.
   *
   * @returns how much there is with this byte; 0 = it is none
   */
  protected blankAfter(blank: number, byte: number): number {
    if (!this.machine.blanks) return 0
    if (blank === 0) return byte === 0x20 ? 1 : byte === 0x0a ? 2 : 0
    return blank >= 2 && blank < 2 + MAX_INDENT && (byte === 0x20 || byte === 0x09) ? blank + 1 : 0
  }
}
