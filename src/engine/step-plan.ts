import { PAGE_TOKENS } from '../device/port.ts'
import type { KvPages } from './kv-pages.ts'
import type { PageCopy, PageTables } from './page-tables.ts'
import type { Sequence } from './sequence.ts'

/** What one sequence does in a step: its next `count` known tokens, then tokens that are only guessed. */
export interface StepPart {
  readonly sequence: Sequence
  readonly count: number
  readonly draft: readonly number[]
}

/** One step of the device, and what to do before. */
export interface StepPlan {
  readonly parts: readonly StepPart[]
  readonly copies: readonly PageCopy[]
  /** Sequences whose given keys and values are to be written into their first pages. */
  readonly written: readonly Sequence[]
}

/** A step in the making. */
export class Planning {
  readonly parts: StepPart[] = []
  readonly copies: PageCopy[] = []
  readonly written: Sequence[] = []
  readonly reused = new Map<Sequence, number>()
  readonly #pages: KvPages
  readonly #tables: PageTables
  readonly #order: readonly Sequence[]
  readonly #pause: (sequence: Sequence) => void
  /** Keys of pages that this step works on: whoever begins alike waits for them instead of doing the same. */
  readonly #claimed = new Set<string>()

  constructor(pages: KvPages, tables: PageTables, order: readonly Sequence[], pause: (sequence: Sequence) => void) {
    this.#pages = pages
    this.#tables = tables
    this.#order = order
    this.#pause = pause
  }

  /** The next token of a sequence. */
  addRow(sequence: Sequence): void {
    if (this.#makeRoom(sequence, 1)) this.#add(sequence, 1)
  }

  /** @returns how many of its tokens are evaluated in this step, at most `most` */
  addChunk(sequence: Sequence, most: number): number {
    this.#attach(sequence)
    if (sequence.cached < sequence.writtenLength && !this.#write(sequence)) return 0
    const key = sequence.keyOf(Math.floor(sequence.cached / PAGE_TOKENS))
    if (key !== null && !sequence.wantsPrompt && this.#claimed.has(key)) return 0
    if (!this.#makeRoom(sequence, 1)) return 0
    const count = Math.min(most, sequence.pending, this.#tables.fitting(sequence))
    this.#add(sequence, count)
    if (key !== null) this.#claimed.add(key)
    return count
  }

  /** Guesses take only pages that nobody needs for tokens that are known. */
  addDrafts(drafts: ReadonlyMap<Sequence, readonly number[]>): void {
    for (const [i, { sequence, count }] of this.parts.entries()) {
      const guessed = drafts.get(sequence)
      if (guessed === undefined) continue
      const fitting = this.#tables.fitting(sequence) - count
      const draft = guessed.slice(0, Math.max(0, fitting))
      this.#grow(sequence, count + draft.length)
      this.parts[i] = { sequence, count, draft }
    }
  }

  #add(sequence: Sequence, count: number): void {
    this.#grow(sequence, count)
    this.parts.push({ sequence, count, draft: [] })
  }

  #attach(sequence: Sequence): void {
    const tokens = this.#tables.attach(sequence)
    if (tokens > 0) this.reused.set(sequence, tokens)
  }

  /** Pages for given keys and values. */
  #write(sequence: Sequence): boolean {
    const count = sequence.writtenLength - sequence.cached
    if (!this.#makeRoom(sequence, count)) return false
    this.#grow(sequence, count)
    sequence.cached += count
    this.written.push(sequence)
    return true
  }

  #grow(sequence: Sequence, count: number): void {
    const copy = this.#tables.grow(sequence, count)
    if (copy !== null) this.copies.push(copy)
  }

  /** Takes pages from the last in the order until there are enough; false when that is the sequence itself, which is paused then. */
  #makeRoom(sequence: Sequence, count: number): boolean {
    while (this.#tables.needed(sequence, count) > this.#pages.available) {
      const last = this.#order.findLast(({ state }) => state === 'running')!
      this.#pause(last)
      if (last === sequence) return false
    }
    return true
  }
}
