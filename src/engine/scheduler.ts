import type { Sequence } from './sequence.ts'

/** How often a sequence that does not fit yet may be overtaken. */
const MOST_OVERTAKING = 16

/** What runs next: a chunk of one prompt, or one token for every decoding row, and perhaps more that were drafted. */
export type Step =
  | { readonly type: 'prefill'; readonly sequence: Sequence; readonly count: number }
  | { readonly type: 'decode'; readonly sequences: readonly Sequence[] }

/** A row whose cache content must move, so that live rows stay contiguous. */
export interface RowMove {
  readonly from: number
  readonly to: number
  readonly length: number
}

export interface SchedulerOptions {
  readonly slots: number
  /** Prompt tokens evaluated between two decode steps. */
  readonly prefillChunk: number
}

/**
 * Pure bookkeeping of the running batch: no I/O, no tensors.
 *
 *     rows:  0 ……… decoding │ decoding ……… rows.length
 *            one token each  │ prompts still being evaluated, oldest first
 *
 * Decoding rows are contiguous from 0, so that one view of the KV cache is the batch.
 */
export class Scheduler {
  readonly #slots: number
  readonly #prefillChunk: number
  readonly #waiting: Sequence[] = []
  readonly #rows: Sequence[] = []
  #decoding = 0
  /** Prompt tokens that may still be evaluated before the next decode step. */
  #prefillBudget: number

  constructor(options: SchedulerOptions) {
    this.#slots = options.slots
    this.#prefillChunk = options.prefillChunk
    this.#prefillBudget = options.prefillChunk
  }

  get waiting(): number {
    return this.#waiting.length
  }

  get running(): readonly Sequence[] {
    return this.#rows
  }

  get idle(): boolean {
    return this.#waiting.length === 0 && this.#rows.length === 0
  }

  /** The prompt that is evaluated next, or being evaluated; null when all are. */
  get prefilling(): Sequence | null {
    return this.#rows[this.#decoding] ?? null
  }

  add(sequence: Sequence): void {
    this.#waiting.push(sequence)
  }

  /** Running and waiting sequences. */
  all(): readonly Sequence[] {
    return [...this.#rows, ...this.#waiting]
  }

  /** The waiting or running sequence of that id. */
  find(id: number): Sequence | undefined {
    return this.#rows.find((s) => s.id === id) ?? this.#waiting.find((s) => s.id === id)
  }

  /**
   * Gives free rows to waiting sequences in order of arrival. One that `fits` refuses, because running rows hold the memory its mix needs, may be
   * overtaken a limited number of times by ones that fit; then nobody overtakes it, so it runs as soon as running ones have left.
   * Background sequences wait until no other does.
   */
  admit(fits: (sequence: Sequence) => boolean): Sequence | null {
    if (this.#rows.length >= this.#slots) return null
    const foreground = this.#waiting.filter(({ request }) => !request.background)
    const queue = foreground.length > 0 ? foreground : this.#waiting
    const [first] = queue
    if (first === undefined) return null
    const next = queue.slice(0, 1 + MOST_OVERTAKING - first.overtaken).find(fits)
    if (next === undefined) return null
    if (next !== first) first.overtaken++
    this.#waiting.splice(this.#waiting.indexOf(next), 1)
    next.row = this.#rows.length
    this.#rows.push(next)
    return next
  }

  /**
   * The next call: prompt chunks up to the budget, then one decode step, and so on. With nobody decoding, chunks follow each other.
   * Null when nothing runs.
   */
  schedule(): Step | null {
    const { prefilling } = this
    if (prefilling !== null && (this.#prefillBudget > 0 || this.#decoding === 0)) {
      const room = this.#decoding === 0 ? this.#prefillChunk : this.#prefillBudget
      const count = Math.min(room, prefilling.promptLength - prefilling.cached)
      return { type: 'prefill', sequence: prefilling, count }
    }
    if (this.#decoding === 0) return null
    return { type: 'decode', sequences: this.#rows.slice(0, this.#decoding) }
  }

  /** Accounts for a step that ran. A sequence whose prompt is complete decodes from now on. */
  complete(step: Step): void {
    if (step.type === 'decode') {
      for (const sequence of step.sequences) sequence.cached++
      this.#prefillBudget = this.#prefillChunk
      return
    }
    step.sequence.cached += step.count
    this.#prefillBudget -= step.count
    if (step.sequence.prefilled) this.#decoding++
  }

  /**
   * Takes a sequence out, wherever it is. Returns the cache moves that keep rows contiguous, to be done in this order:
   * the last decoding row goes into the hole, then the prefilling rows move up.
   */
  remove(sequence: Sequence): readonly RowMove[] {
    const queued = this.#waiting.indexOf(sequence)
    if (queued >= 0) {
      this.#waiting.splice(queued, 1)
      return []
    }
    if (this.#rows[sequence.row] !== sequence) throw new Error(`sequence ${sequence.id} is not in row ${sequence.row}`)
    const moves: RowMove[] = []
    let hole = sequence.row
    if (hole < this.#decoding) hole = this.#fill(hole, --this.#decoding, moves)
    // Prefilling rows keep their order of arrival: each moves up by one. Only the first can have much in the cache yet.
    while (hole < this.#rows.length - 1) hole = this.#fill(hole, hole + 1, moves)
    this.#rows.pop()
    sequence.row = -1
    return moves
  }

  /** Throws when the rows, their order or their counts contradict each other. */
  checkIntegrity(): void {
    const ids = new Set(this.all().map((s) => s.id))
    if (ids.size !== this.#rows.length + this.#waiting.length) throw new Error('a sequence is held twice')
    if (this.#rows.length > this.#slots) throw new Error(`${this.#rows.length} rows in ${this.#slots} slots`)
    if (this.#decoding > this.#rows.length) throw new Error('more decoding rows than rows')
    for (const [row, s] of this.#rows.entries()) {
      if (s.row !== row) throw new Error(`sequence ${s.id} believes to be in row ${s.row}, is in ${row}`)
      if (s.prefilled !== row < this.#decoding) throw new Error(`row ${row} is in the wrong part of the batch`)
    }
    for (const s of this.#waiting) if (s.row !== -1) throw new Error(`waiting sequence ${s.id} has row ${s.row}`)
  }

  #fill(hole: number, from: number, moves: RowMove[]): number {
    if (hole === from) return from
    const sequence = this.#rows[from]!
    this.#rows[hole] = sequence
    sequence.row = hole
    if (sequence.kvLength > 0) moves.push({ from, to: hole, length: sequence.kvLength })
    return from
  }
}
