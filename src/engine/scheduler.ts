import type { KvPages } from './kv-pages.ts'
import type { PageTables } from './page-tables.ts'
import type { Candidate, Policy } from './policy/policy.ts'
import type { StepSoFar } from './prompt-budget.ts'
import type { Sequence } from './sequence.ts'
import { pagesFor } from './sequence.ts'
import type { StepPart, StepPlan } from './step-plan.ts'
import { Planning } from './step-plan.ts'

/** How often a sequence that does not fit yet may be overtaken. */
const MOST_OVERTAKING = 16
/** A sequence gets pages only where those that run have theirs for so many tokens to come: else they would soon be taken from it again. */
const RESERVED_TOKENS = 32

/** Decides beside the policy, from what was measured. */
export interface StepAdvice {
  /** Guesses of what follows, for rows that each get their next token; at most `room` tokens together. */
  draft(rows: readonly Sequence[], room: number): ReadonlyMap<Sequence, readonly number[]>
  /** Prompt tokens of the step. */
  promptTokens(step: StepSoFar): number
}

/** What happened to sequences while a step was planned. */
export interface Changes {
  readonly started: readonly Sequence[]
  /** Tokens that need not be evaluated, since earlier sequences did. */
  readonly reused: ReadonlyMap<Sequence, number>
}

export interface SchedulerOptions {
  /** Most sequences that run at once. */
  readonly rows: number
  /** Most tokens of a step. */
  readonly stepTokens: number
  /** Most rows of logits of a step. */
  readonly logitRows: number
  readonly policy: Policy
  /** Which table rotates a sequence of so many tokens. */
  readonly ropeTable: (tokens: number) => number
}

/**
 * Pure bookkeeping of who runs: no I/O, no tensors.
 *
 *     waiting ──▶ running ──▶ finished
 *                  │   ▲
 *                  ▼   │  when pages run out, the last in the policy's order
 *                 paused
 *
 * Only running sequences have pages, and whoever is first in the order gets the pages of those behind: so nobody waits for ever.
 */
export class Scheduler {
  readonly counters = { pauses: 0, recomputedTokens: 0 }
  readonly #options: SchedulerOptions
  readonly #pages: KvPages
  readonly #tables: PageTables
  /** All that are not finished, in order of arrival. */
  readonly #sequences = new Map<number, Sequence>()

  constructor(options: SchedulerOptions, pages: KvPages, tables: PageTables) {
    this.#options = options
    this.#pages = pages
    this.#tables = tables
  }

  get idle(): boolean {
    return this.#sequences.size === 0
  }

  all(): readonly Sequence[] {
    return [...this.#sequences.values()]
  }

  find(id: number): Sequence | undefined {
    return this.#sequences.get(id)
  }

  /** One that could never have all its pages must not be added. The forks of a sequence are added with it. */
  add(sequence: Sequence): void {
    this.#sequences.set(sequence.id, sequence)
    for (const fork of sequence.forks) {
      fork.state = 'forking'
      this.#sequences.set(fork.id, fork)
    }
  }

  /** The next step, null when nothing runs. Pages for it are taken: it must be run, and told with `complete`. */
  plan(advice: StepAdvice, now: number): { readonly step: StepPlan | null; readonly changes: Changes } {
    for (const sequence of this.#sequences.values()) this.#rotate(sequence)
    const order = this.#ordered(now)
    const started = this.#admit(order)
    const planning = new Planning(this.#pages, this.#tables, order, (victim) => this.#pause(victim))
    const rows = order.filter(({ state, decodes }) => state === 'running' && decodes).slice(0, this.#options.stepTokens)
    const room = Math.min(this.#options.stepTokens, this.#options.logitRows) - rows.length
    const drafts = advice.draft(rows, Math.max(0, room))
    const drafted = [...drafts.values()].reduce((sum, draft) => sum + draft.length, 0)
    let budget = advice.promptTokens({ rows: rows.length, drafted })
    let logitRows = this.#options.logitRows - rows.length - drafted
    const planned = new Set(rows)
    for (const sequence of order) {
      if (sequence.state !== 'running') continue
      if (planned.has(sequence)) planning.addRow(sequence)
      else if (!sequence.decodes && budget > 0 && logitRows > 0) {
        const most = sequence.wantsPrompt ? Math.min(budget, logitRows) : budget
        const count = planning.addChunk(sequence, most)
        budget -= count
        logitRows -= sequence.wantsPrompt ? count : 1
      }
    }
    planning.addDrafts(drafts)
    const { parts, copies, reused } = planning
    const written = planning.written.filter(({ state }) => state === 'running')
    const step = parts.length + written.length === 0 ? null : { parts, copies, written }
    return { step, changes: { started, reused } }
  }

  /** Accounts for the known tokens of a part that ran; its sequence may have ended since the step was planned. */
  complete({ sequence, count }: StepPart): void {
    sequence.cached += count
    sequence.evaluated += count
    sequence.furthest = Math.max(sequence.furthest, sequence.cached)
    this.#tables.publish(sequence)
  }

  /** A drafted token turned out to be the next: it is evaluated already. */
  confirm(sequence: Sequence): void {
    this.complete({ sequence, count: 1, draft: [] })
  }

  /** Takes the pages of refused drafts back. */
  settle(sequence: Sequence): void {
    this.#tables.trim(sequence)
  }

  /** Lets the forks of a sequence whose prompt is evaluated begin behind it. */
  startForks(sequence: Sequence): readonly Sequence[] {
    const forks = sequence.forks.splice(0)
    let running = this.all().filter(({ state }) => state === 'running').length
    for (const fork of forks) {
      fork.state = running < this.#options.rows ? 'running' : 'paused'
      running++
      if (fork.state === 'running') this.#tables.fork(sequence, fork)
      // Its prompt was evaluated for it: finding the pages again later is no news.
      else fork.furthest = sequence.furthest
    }
    return forks
  }

  /** Takes a sequence out, wherever it is. The first of its forks goes on with the prompt in its place. */
  remove(sequence: Sequence): void {
    if (!this.#sequences.delete(sequence.id)) throw new Error(`sequence ${sequence.id} is not here`)
    const [heir, ...forks] = sequence.forks.splice(0)
    if (sequence.state === 'forking') for (const other of this.#sequences.values()) removeFrom(other.forks, sequence)
    if (heir !== undefined) {
      heir.forks.push(...forks)
      heir.state = sequence.state
      heir.rotateBy(sequence.ropeTable)
      heir.promptLogprobs.push(...sequence.promptLogprobs)
      this.#tables.fork(sequence, heir)
    }
    this.#tables.release(sequence)
    sequence.state = 'finished'
  }

  /** Throws when sequences, page tables or pages contradict each other. */
  checkIntegrity(): void {
    const running = this.all().filter(({ state }) => state === 'running')
    if (running.length > this.#options.rows) throw new Error(`${running.length} sequences run in ${this.#options.rows}`)
    const forks = new Set(this.all().flatMap((sequence) => sequence.forks))
    for (const sequence of this.#sequences.values()) {
      const { id, state, pages, cached, known, published } = sequence
      const wrong = (what: string): Error => new Error(`sequence ${id}, ${state}: ${what}`)
      if (state === 'finished') throw wrong('it is still here')
      if ((state === 'forking') !== forks.has(sequence)) throw wrong('its prompt is evaluated by nobody, or not for it')
      if (state !== 'running' && pages.length + cached > 0) throw wrong('it has pages')
      if (cached >= known && state === 'running') throw wrong(`${cached} tokens are cached, ${known} known`)
      if (pages.length !== pagesFor(cached)) throw wrong(`${pages.length} pages for ${cached} tokens`)
      if (published > pages.length) throw wrong(`${published} pages published of ${pages.length}`)
    }
    this.#pages.checkIntegrity(this.all().map(({ pages }) => pages))
  }

  /** A sequence that outgrew a table of rotations needs all its tokens evaluated again: every position is rotated differently. */
  #rotate(sequence: Sequence): void {
    const table = this.#options.ropeTable(sequence.known - sequence.ropeOffset)
    if (table === sequence.ropeTable) return
    this.counters.recomputedTokens += sequence.cached
    this.#tables.release(sequence)
    sequence.rotateBy(table)
  }

  #ordered(now: number): readonly Sequence[] {
    const candidates = this.all().flatMap((sequence): Candidate[] => {
      const { id, request, state, submittedAt, evaluated, pending } = sequence
      if (state === 'forking') return []
      const { tenant = null, weight = 1, background = false, priority = 0, deadline = null } = request
      const deadlineMs = deadline === null ? null : submittedAt + deadline - now
      const running = state === 'running'
      return [
        {
          id,
          tenant,
          weight,
          background,
          priority,
          deadlineMs,
          waitedMs: now - submittedAt,
          running,
          evaluated,
          pending,
        },
      ]
    })
    return this.#options.policy.order(candidates).map(({ id }) => this.#sequences.get(id)!)
  }

  /**
   * Lets sequences run in order while there are rows and pages for them; whoever runs and stands behind one that waits gives way to it. One for
   * which there are no pages may be overtaken a limited number of times by ones that need fewer; then nobody overtakes it, so it runs as soon as
   * others have left. What is in the background waits until nothing else does.
   */
  #admit(order: readonly Sequence[]): readonly Sequence[] {
    const started: Sequence[] = []
    const gaveWay = new Set<Sequence>()
    for (;;) {
      const running = order.filter(({ state }) => state === 'running')
      const waiting = order.filter(({ state }) => state === 'waiting' || state === 'paused')
      const foreground = waiting.filter(({ request }) => !request.background)
      const queue = (foreground.length > 0 ? foreground : waiting).filter((sequence) => !gaveWay.has(sequence))
      const [first] = queue
      if (first === undefined) return started
      const free = this.#pages.available - running.reduce((sum, sequence) => sum + this.#reserve(sequence), 0)
      const fits = (sequence: Sequence): boolean => running.length === 0 || this.#demand(sequence) <= free
      const full = running.length >= this.#options.rows
      const last = running.at(-1)
      if ((full || !fits(first)) && last !== undefined && order.indexOf(last) > order.indexOf(first)) {
        this.#pause(last)
        gaveWay.add(last)
        continue
      }
      if (full) return started
      const next = queue.slice(0, 1 + MOST_OVERTAKING - first.overtaken).find(fits)
      if (next === undefined) return started
      if (next !== first) first.overtaken++
      if (next.state === 'waiting') started.push(next, ...next.forks)
      next.state = 'running'
    }
  }

  /** Pages that a running sequence will take soon. */
  #reserve(sequence: Sequence): number {
    const soon = Math.min(sequence.mostCached, sequence.known + RESERVED_TOKENS)
    return this.#tables.needed(sequence, Math.max(0, soon - sequence.cached)) + sequence.forks.length
  }

  /** The same of one that has none yet, without those that it shares with running ones. */
  #demand(sequence: Sequence): number {
    return this.#reserve(sequence) - this.#tables.sharedInUse(sequence)
  }

  #pause(sequence: Sequence): void {
    this.counters.pauses++
    this.counters.recomputedTokens += sequence.cached
    this.#tables.release(sequence)
    sequence.state = 'paused'
  }
}

function removeFrom<T>(list: T[], item: T): void {
  const at = list.indexOf(item)
  if (at >= 0) list.splice(at, 1)
}
