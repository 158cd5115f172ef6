import type { Thread } from '../automaton.ts'
import type { CharacterReader } from '../json/character-reader.ts'
import type { TextState } from '../json/text-state.ts'
import type { RuleTables } from './tables.ts'

/** Threads that one byte is read by; more are given up, which may forbid but never allow too much. */
const MAX_READ = 2_000

/** Where threads get the next ones from. */
export interface RuleThreads {
  readonly tables: RuleTables
  /** Threads that are to read the byte of this step; null between steps. */
  due: RuleThread[] | null
  nextId(): number
  /** A part is due, then what `up` says. */
  enter(part: number, up: RuleThread): Thread
  literal(part: number, at: number, up: RuleThread): Thread
  character(part: number, reading: CharacterReader, up: RuleThread): Thread
  text(part: number, state: TextState, reading: CharacterReader, up: RuleThread): Thread
  sequence(part: number, at: number, up: RuleThread): RuleThread
  repeat(part: number, count: number, up: RuleThread): RuleThread
}

/** What may follow at one place of a grammar. */
export abstract class RuleThread implements Thread {
  readonly id: number
  readonly canEnd: boolean = false
  readonly plain: number = 0
  protected readonly machine: RuleThreads
  /** The list that was added to last: a thread reached in several ways is read once. */
  #added: Thread[] | null = null

  constructor(machine: RuleThreads) {
    this.machine = machine
    this.id = machine.nextId()
  }

  step(byte: number, out: Thread[]): void {
    if (this.#added === out) return
    this.#added = out
    const { machine } = this
    if (machine.due) {
      // Not called at once: rules may be nested deeper than calls may.
      if (machine.due.length < MAX_READ) machine.due.push(this)
      return
    }
    machine.due = [this]
    try {
      for (let i = 0; i < machine.due.length; i++) machine.due[i]!.go(byte, out)
    } finally {
      machine.due = null
    }
  }

  protected abstract go(byte: number, out: Thread[]): void
}

/** Nothing follows. */
export class EndThread extends RuleThread {
  override readonly canEnd = true

  protected go(): void {}
}
