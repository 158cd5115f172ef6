import type { Automaton, State, Thread } from '../automaton.ts'
import { States } from '../automaton.ts'
import type { ArrayProgress, ObjectProgress } from './completion.ts'
import {
  added,
  arrayCompletes,
  arrayEnds,
  EMPTY_ARRAY,
  EMPTY_OBJECT,
  itemOptions,
  objectCompletes,
  objectEnds,
} from './completion.ts'
import type { CharacterReader } from './character-reader.ts'
import { IN_STRING } from './character-reader.ts'
import { KeyText } from './key-text.ts'
import type { NumberState } from './number-state.ts'
import { numberStart } from './number-state.ts'
import type { ArrayTable, NodeTable, ObjectTable, Option } from './tables.ts'
import type { TextState } from './text-state.ts'
import { textStart } from './text-state.ts'
import { UniqueItem } from './unique-items.ts'
import type { UniquePlace } from './unique-items.ts'

const QUOTE = 0x22
const COMMA = 0x2c
const COLON = 0x3a

/** States and threads kept for later requests with the same grammar. */
const MAX_STATES = 20_000

/** Reads JSON text by the tables of a schema. */
export class JsonMachine implements Automaton {
  readonly nodes: readonly NodeTable[]
  readonly blanks: boolean
  readonly #states = new States(MAX_STATES)
  #threads = new Map<string, Thread>()
  readonly #numbers = new WeakMap<object, number>()
  #ids = 0

  /** @param blanks whether white space may stand between the parts */
  constructor(nodes: readonly NodeTable[], blanks: boolean) {
    this.nodes = nodes
    this.blanks = blanks
  }

  start(): State {
    return this.#states.of([this.value(0, this.end)])
  }

  /** The end of a value that nothing follows. */
  get end(): Thread {
    return this.shared('end', () => new EndThread(this))
  }

  nextId(): number {
    return this.#ids++
  }

  /** The thread of this key: equal keys, same thread. */
  shared(key: string, make: () => Thread): Thread {
    const known = this.#threads.get(key)
    if (known) return known
    if (this.#threads.size >= MAX_STATES * 4) this.#threads = new Map()
    const thread = make()
    this.#threads.set(key, thread)
    return thread
  }

  /** A number for an object of the tables. */
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

/** What stands before: the bracket, a value, or a comma. */
type Phase = 'open' | 'value' | 'comma'

/** What follows a text: called with its state at the closing quote. */
type TextEnd = (state: TextState, out: Thread[]) => void

abstract class JsonThread implements Thread {
  readonly id: number
  readonly canEnd: boolean = false
  protected readonly machine: JsonMachine

  constructor(machine: JsonMachine) {
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

const MAX_INDENT = 40

class EndThread extends JsonThread {
  override readonly canEnd = true

  step(): void {}
}

/** A value is due. */
class ValueThread extends JsonThread {
  readonly #node: number
  readonly #up: Thread
  readonly #blank: number

  constructor(machine: JsonMachine, node: number, up: Thread, blank: number) {
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

class WordThread extends JsonThread {
  readonly #word: string
  readonly #at: number
  readonly #up: Thread

  constructor(machine: JsonMachine, word: string, at: number, up: Thread) {
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
class NumberThread extends JsonThread {
  override readonly canEnd: boolean
  readonly #state: NumberState
  readonly #table: number
  readonly #up: Thread

  constructor(machine: JsonMachine, state: NumberState, table: number, up: Thread) {
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

class TextThread extends JsonThread {
  readonly #state: TextState
  /** What tells texts apart that have the same state: their table and what follows. */
  readonly #tag: string
  readonly #end: TextEnd
  readonly #reading: CharacterReader

  constructor(machine: JsonMachine, state: TextState, tag: string, end: TextEnd, reading: CharacterReader) {
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

class ArrayThread extends JsonThread {
  readonly #table: ArrayTable
  readonly #progress: ArrayProgress
  readonly #phase: Phase
  readonly #up: Thread
  readonly #blank: number

  constructor(
    machine: JsonMachine,
    table: ArrayTable,
    progress: ArrayProgress,
    phase: Phase,
    up: Thread,
    blank: number,
  ) {
    super(machine)
    this.#table = table
    this.#progress = progress
    this.#phase = phase
    this.#up = up
    this.#blank = blank
  }

  step(byte: number, out: Thread[]): void {
    const [machine, table, progress, phase, up] = [this.machine, this.#table, this.#progress, this.#phase, this.#up]
    const blank = this.blankAfter(this.#blank, byte)
    if (blank > 0) out.push(machine.array(table, progress, phase, up, blank))
    else if (byte === 0x5d) {
      if (phase !== 'comma' && arrayEnds(table, progress)) out.push(up)
    } else if (phase !== 'value') {
      for (const item of this.#items()) item.step(byte, out)
    } else if (byte === COMMA && this.#items().length > 0) out.push(machine.array(table, progress, 'comma', up))
  }

  /** The ways to begin the next item. */
  #items(): Thread[] {
    const [machine, table, { count, counts, seen }] = [this.machine, this.#table, this.#progress]
    return itemOptions(table, count).flatMap((option) => {
      const next = added(table.counters, counts, option)
      // From some place on the number of items does not matter.
      const last = table.max === Infinity ? Math.max(table.min, table.prefix.length) : Infinity
      const progress = next && { count: Math.min(last, count + 1), counts: next, seen }
      if (!progress || !arrayCompletes(table, progress)) return []
      if (!table.unique) return [machine.value(option.node, machine.array(table, progress, 'value', this.#up))]
      const item = this.#unique(progress).shared(machine.value(option.node, machine.end), '')
      return item.alive() ? [item] : []
    })
  }

  #unique(progress: ArrayProgress): UniquePlace {
    const { machine } = this
    const { id } = machine.array(this.#table, progress, 'value', this.#up)
    const place: UniquePlace = {
      end: machine.end,
      seen: progress.seen,
      after: (item) =>
        progress.seen.has(item)
          ? null
          : machine.array(this.#table, { ...progress, seen: new Set([...progress.seen, item]) }, 'value', this.#up),
      shared: (inner, text) =>
        machine.shared(
          `u${id} ${inner.id} ${text}`,
          () => new UniqueItem(machine.nextId(), inner, text, place),
        ) as UniqueItem,
    }
    return place
  }
}

class ObjectThread extends JsonThread {
  readonly #table: ObjectTable
  readonly #progress: ObjectProgress
  readonly #phase: Phase
  readonly #up: Thread
  readonly #blank: number
  #more: boolean | null = null

  constructor(
    machine: JsonMachine,
    table: ObjectTable,
    progress: ObjectProgress,
    phase: Phase,
    up: Thread,
    blank: number,
  ) {
    super(machine)
    this.#table = table
    this.#progress = progress
    this.#phase = phase
    this.#up = up
    this.#blank = blank
  }

  step(byte: number, out: Thread[]): void {
    const [machine, table, progress, phase, up] = [this.machine, this.#table, this.#progress, this.#phase, this.#up]
    const blank = this.blankAfter(this.#blank, byte)
    if (blank > 0) out.push(machine.object(table, progress, phase, up, blank))
    else if (byte === 0x7d) {
      if (phase !== 'comma' && objectEnds(table, progress)) out.push(up)
    } else if (byte === QUOTE && phase !== 'value') {
      const key = this.#key()
      if (key.plain > 0 || key.goesOn(0, 0x10ffff) || key.canEnd)
        // The same names may follow a bracket and a comma.
        out.push(machine.text(key, `k${this.#tag()}`, (name, ends) => void ends.push(this.#named(name as KeyText))))
    } else if (byte === COMMA && phase === 'value') {
      this.#more ??= this.#hasMore()
      if (this.#more) out.push(machine.object(table, progress, 'comma', up))
    }
  }

  #tag(): number {
    const { id } = this.machine.object(this.#table, this.#progress, 'comma', this.#up)
    return id
  }

  #key(): KeyText {
    return KeyText.start(this.#table, this.#progress, (choice) => this.#follow(choice).length > 0)
  }

  #hasMore(): boolean {
    const key = this.#key()
    return key.canEnd || key.goesOn(0, 0x10ffff)
  }

  /** After a name and its quote: the colon, then the value. */
  #named(name: KeyText): Thread {
    const { machine } = this
    const values = this.#after(name)
    const ids = values.map(([node, up]) => `${node} ${up.id}`).join(',')
    return machine.shared(`c${ids}`, () => new ColonThread(machine, values, 0))
  }

  #after(name: KeyText): [number, Thread][] {
    const { index, label, text } = name
    const [table, before] = [this.#table, this.#progress]
    return this.#follow(name).map(({ option, counts }) => {
      // A table without limits does not count.
      const counting = table.max < Infinity || table.min > 0 || table.counters.length > 0
      const keeps = index < 0 && label >= 0 && counting
      const progress: ObjectProgress = {
        seen: index < 0 ? before.seen : [...before.seen, index].sort((a, b) => a - b),
        missing: before.missing - (index >= 0 && table.required[index] ? 1 : 0),
        others: keeps ? [...before.others, text].sort() : before.others,
        count: counting ? before.count + 1 : 0,
        counts,
      }
      return [option.node, this.machine.object(table, progress, 'value', this.#up)]
    })
  }

  /** The options after which the object can still be completed. */
  #follow({
    options,
    index,
  }: {
    readonly options: readonly Option[]
    readonly index: number
  }): { option: Option; counts: readonly number[] }[] {
    const [table, before] = [this.#table, this.#progress]
    return options.flatMap((option) => {
      const counts = added(table.counters, before.counts, option)
      if (counts === null) return []
      const simple = table.counters.length === 0 && table.max === Infinity && table.min === 0
      if (simple) return [{ option, counts }]
      const progress: ObjectProgress = {
        seen: index < 0 ? before.seen : [...before.seen, index],
        missing: before.missing - (index >= 0 && table.required[index] ? 1 : 0),
        others: index < 0 ? [...before.others, ''] : before.others,
        count: before.count + 1,
        counts,
      }
      return objectCompletes(table, progress) ? [{ option, counts }] : []
    })
  }
}

/** A colon and a value are due. */
class ColonThread extends JsonThread {
  readonly #values: readonly (readonly [number, Thread])[]
  readonly #blank: number

  constructor(machine: JsonMachine, values: readonly (readonly [number, Thread])[], blank: number) {
    super(machine)
    this.#values = values
    this.#blank = blank
  }

  step(byte: number, out: Thread[]): void {
    if (byte === COLON) for (const [node, up] of this.#values) out.push(this.machine.value(node, up))
    else if (byte === 0x20 && this.#blank === 0 && this.machine.blanks) {
      const ids = this.#values.map(([node, up]) => `${node} ${up.id}`).join(',')
      out.push(this.machine.shared(`c${ids} blank`, () => new ColonThread(this.machine, this.#values, 1)))
    }
  }
}
