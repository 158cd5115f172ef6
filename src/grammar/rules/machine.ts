import type { Automaton, State, Thread } from '../automaton.ts'
import { States, ThreadIds, Threads } from '../automaton.ts'
import type { CharacterReader } from '../json/character-reader.ts'
import { IN_TEXT } from '../json/character-reader.ts'
import { JsonMachine } from '../json/machine.ts'
import type { TextState } from '../json/text-state.ts'
import { textStart } from '../json/text-state.ts'
import type { RulePart, RuleTables } from './tables.ts'
import { CharacterThread, LiteralThread, TextThread } from './terminal-threads.ts'
import type { RuleThreads } from './thread.ts'
import { EndThread, RuleThread } from './thread.ts'

type Repeat = Extract<RulePart, { type: 'repeat' }>

/** Reads text by the parts of a grammar. */
export class RuleMachine implements Automaton, RuleThreads {
  readonly tables: RuleTables
  due: RuleThread[] | null = null
  readonly #states = new States()
  readonly #threads = new Threads(new ThreadIds())
  readonly #json = new Map<number, JsonMachine>()

  constructor(tables: RuleTables) {
    this.tables = tables
  }

  start(): State {
    const end = this.#threads.of('end', () => new EndThread(this))
    return this.#states.of([this.enter(0, end)])
  }

  nextId(): number {
    return this.#threads.ids.next()
  }

  /** A part is due, then what `up` says. */
  enter(number: number, up: RuleThread): Thread {
    const part = this.tables.parts[number]!
    switch (part.type) {
      case 'literal':
        return this.literal(number, 0, up)
      case 'character':
        return this.character(number, IN_TEXT, up)
      case 'text':
        return this.text(number, textStart(part.table), IN_TEXT, up)
      case 'json':
        return this.#jsonOf(number).value(0, up)
      case 'sequence':
        return this.sequence(number, 0, up)
      case 'either':
        return this.#threads.of(`e${number} ${up.id}`, () => new EitherThread(this, number, up))
      case 'repeat':
        return this.repeat(number, 0, up)
    }
  }

  literal(number: number, at: number, up: RuleThread): Thread {
    return this.#threads.of(`l${number} ${at} ${up.id}`, () => new LiteralThread(this, number, at, up))
  }

  character(number: number, reading: CharacterReader, up: RuleThread): Thread {
    const key = `c${number} ${reading.key} ${up.id}`
    return this.#threads.of(key, () => new CharacterThread(this, number, reading, up))
  }

  text(number: number, state: TextState, reading: CharacterReader, up: RuleThread): Thread {
    const key = `t${number} ${state.key} ${reading.key} ${up.id}`
    return this.#threads.of(key, () => new TextThread(this, number, state, reading, up))
  }

  sequence(number: number, at: number, up: RuleThread): RuleThread {
    return this.#threads.of(`s${number} ${at} ${up.id}`, () => new SequenceThread(this, number, at, up))
  }

  repeat(number: number, count: number, up: RuleThread): RuleThread {
    const { min, max } = this.tables.parts[number] as Repeat
    // From the minimum on the number does not matter where there is no maximum.
    const counted = max === Infinity ? Math.min(min, count) : count
    return this.#threads.of(`r${number} ${counted} ${up.id}`, () => new RepeatThread(this, number, counted, up))
  }

  #jsonOf(number: number): JsonMachine {
    const known = this.#json.get(number)
    if (known) return known
    const part = this.tables.parts[number] as Extract<RulePart, { type: 'json' }>
    const machine = new JsonMachine(part.tables, this.#threads.ids)
    this.#json.set(number, machine)
    return machine
  }
}

/** One of several parts is due. */
class EitherThread extends RuleThread {
  override readonly canEnd: boolean
  override readonly plain: number
  readonly #number: number
  readonly #up: RuleThread

  constructor(machine: RuleMachine, number: number, up: RuleThread) {
    super(machine)
    this.#number = number
    this.#up = up
    this.canEnd = machine.tables.nullable[number]! && up.canEnd
    this.plain = machine.tables.free[number] ? Infinity : 0
  }

  protected go(byte: number, out: Thread[]): void {
    const { parts } = this.machine.tables.parts[this.#number] as Extract<RulePart, { type: 'either' }>
    for (const part of parts) this.machine.enter(part, this.#up).step(byte, out)
  }
}

/** The parts of a sequence from one on are due. */
class SequenceThread extends RuleThread {
  override readonly canEnd: boolean
  override readonly plain: number
  readonly #number: number
  readonly #at: number
  readonly #up: RuleThread

  constructor(machine: RuleMachine, number: number, at: number, up: RuleThread) {
    super(machine)
    this.#number = number
    this.#at = at
    this.#up = up
    const { nullable, free } = machine.tables
    const left = this.#parts.slice(at)
    this.canEnd = left.every((part) => nullable[part]) && up.canEnd
    this.plain = left.length > 0 && free[left[0]!] ? Infinity : 0
  }

  get #parts(): readonly number[] {
    return (this.machine.tables.parts[this.#number] as Extract<RulePart, { type: 'sequence' }>).parts
  }

  protected go(byte: number, out: Thread[]): void {
    const [parts, at, up] = [this.#parts, this.#at, this.#up]
    if (at >= parts.length) up.step(byte, out)
    else {
      // The last part ends where the whole does: what recurs at its end nests no deeper.
      const next = at + 1 < parts.length ? this.machine.sequence(this.#number, at + 1, up) : up
      this.machine.enter(parts[at]!, next).step(byte, out)
    }
  }
}

/** A part was there so many times. */
class RepeatThread extends RuleThread {
  override readonly canEnd: boolean
  override readonly plain: number
  readonly #number: number
  readonly #count: number
  readonly #up: RuleThread

  constructor(machine: RuleMachine, number: number, count: number, up: RuleThread) {
    super(machine)
    this.#number = number
    this.#count = count
    this.#up = up
    this.canEnd = count >= this.#part.min && up.canEnd
    this.plain = machine.tables.free[number] ? Infinity : 0
  }

  get #part(): Repeat {
    return this.machine.tables.parts[this.#number] as Repeat
  }

  protected go(byte: number, out: Thread[]): void {
    const { part, min, max } = this.#part
    const count = this.#count
    if (count < max) this.machine.enter(part, this.machine.repeat(this.#number, count + 1, this.#up)).step(byte, out)
    if (count >= min) this.#up.step(byte, out)
  }
}
