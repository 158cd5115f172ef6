import type { Thread } from '../automaton.ts'
import type { ArrayProgress } from './completion.ts'
import { added, arrayCompletes, arrayEnds, itemOptions } from './completion.ts'
import type { ArrayTable } from './tables.ts'
import type { JsonThreads, Phase } from './thread.ts'
import { COMMA, JsonThread } from './thread.ts'
import type { UniquePlace } from './unique-items.ts'
import { UniqueItem } from './unique-items.ts'

/** Inside an array. */
export class ArrayThread extends JsonThread {
  readonly #table: ArrayTable
  readonly #progress: ArrayProgress
  readonly #phase: Phase
  readonly #up: Thread
  readonly #blank: number

  constructor(
    machine: JsonThreads,
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
