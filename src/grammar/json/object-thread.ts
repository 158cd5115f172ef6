import type { Thread } from '../automaton.ts'
import type { ObjectProgress } from './completion.ts'
import { added, objectCompletes, objectEnds } from './completion.ts'
import { KeyText } from './key-text.ts'
import type { ObjectTable, Option } from './tables.ts'
import type { JsonThreads, Phase } from './thread.ts'
import { COMMA, JsonThread, QUOTE } from './thread.ts'

const COLON = 0x3a

/** Inside an object. */
export class ObjectThread extends JsonThread {
  readonly #table: ObjectTable
  readonly #progress: ObjectProgress
  readonly #phase: Phase
  readonly #up: Thread
  readonly #blank: number
  #more: boolean | null = null

  constructor(
    machine: JsonThreads,
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

  constructor(machine: JsonThreads, values: readonly (readonly [number, Thread])[], blank: number) {
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
