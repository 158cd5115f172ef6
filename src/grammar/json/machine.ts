import type { Thread, ThreadIds } from '../automaton.ts'
import { Threads } from '../automaton.ts'
import { ArrayThread } from './array-thread.ts'
import { IN_STRING } from './character-reader.ts'
import type { ArrayProgress, ObjectProgress } from './completion.ts'
import type { NumberState } from './number-state.ts'
import { ObjectThread } from './object-thread.ts'
import type { ArrayTable, JsonTables, NodeTable, ObjectTable } from './tables.ts'
import type { TextState } from './text-state.ts'
import { TextThread } from './text-thread.ts'
import type { JsonThreads, Phase, TextEnd } from './thread.ts'
import { JsonThread } from './thread.ts'
import { NumberThread, ValueThread, WordThread } from './value-thread.ts'

/** Reads JSON text by the tables of a schema. */
export class JsonMachine implements JsonThreads {
  readonly nodes: readonly NodeTable[]
  readonly blanks: boolean
  readonly #threads: Threads
  readonly #numbers = new WeakMap<object, number>()

  /** @param ids those of all threads that may stand in one state */
  constructor({ nodes, blanks }: JsonTables, ids: ThreadIds) {
    this.nodes = nodes
    this.blanks = blanks
    this.#threads = new Threads(ids)
  }

  get end(): Thread {
    return this.shared('end', () => new EndThread(this))
  }

  nextId(): number {
    return this.#threads.ids.next()
  }

  shared(key: string, make: () => Thread): Thread {
    return this.#threads.of(key, make)
  }

  numberOf(table: object): number {
    const known = this.#numbers.get(table)
    if (known !== undefined) return known
    const number = this.nextId()
    this.#numbers.set(table, number)
    return number
  }

  value(node: number, up: Thread, blank = 0): Thread {
    return this.shared(`v${node} ${up.id} ${blank}`, () => new ValueThread(this, node, up, blank))
  }

  text(state: TextState, tag: string, up: TextEnd, reading = IN_STRING): Thread {
    return this.shared(`s${tag} ${state.key} ${reading.key}`, () => new TextThread(this, state, tag, up, reading))
  }

  word(word: string, at: number, up: Thread): Thread {
    return at === word.length ? up : this.shared(`w${word} ${at} ${up.id}`, () => new WordThread(this, word, at, up))
  }

  number(state: NumberState, table: number, up: Thread): Thread {
    return this.shared(`n${table} ${state.key} ${up.id}`, () => new NumberThread(this, state, table, up))
  }

  array(table: ArrayTable, progress: ArrayProgress, phase: Phase, up: Thread, blank = 0): Thread {
    const { count, counts, seen } = progress
    const own = `${count} ${counts.join(',')} ${table.unique ? JSON.stringify([...seen].sort()) : ''}`
    const key = `a${this.numberOf(table)} ${own} ${phase} ${up.id} ${blank}`
    return this.shared(key, () => new ArrayThread(this, table, progress, phase, up, blank))
  }

  object(table: ObjectTable, progress: ObjectProgress, phase: Phase, up: Thread, blank = 0): Thread {
    const { seen, others, count, counts } = progress
    const own = `${seen.join(',')} ${JSON.stringify(others)} ${count} ${counts.join(',')}`
    const key = `o${this.numberOf(table)} ${own} ${phase} ${up.id} ${blank}`
    return this.shared(key, () => new ObjectThread(this, table, progress, phase, up, blank))
  }
}

class EndThread extends JsonThread {
  override readonly canEnd = true

  step(): void {}
}
