/** One way to read what was written so far. Immutable and shared: the same object for the same state. */
export interface Thread {
  readonly id: number
  readonly canEnd: boolean
  /** So many plain characters of a text may follow, whichever they are; 0 where it depends on them. */
  readonly plain: number
  /** Adds the ways to go on with this byte. */
  step(byte: number, out: Thread[]): void
}

/** All ways to read what was written so far: a state of the lazy automaton. */
export class State {
  readonly threads: readonly Thread[]
  readonly canEnd: boolean
  /** The mask of tokens, once it was computed. */
  mask: Uint32Array | null = null
  readonly #next: (State | null | undefined)[] = []
  readonly #states: States

  constructor(threads: readonly Thread[], states: States) {
    this.threads = threads
    this.canEnd = threads.some((thread) => thread.canEnd)
    this.#states = states
  }

  /** Null = nothing that is allowed goes on so. */
  step(byte: number): State | null {
    const known = this.#next[byte]
    if (known !== undefined) return known
    const out: Thread[] = []
    for (const thread of this.threads) thread.step(byte, out)
    const next = out.length === 0 ? null : this.#states.of(out)
    this.#next[byte] = next
    return next
  }

  get plain(): number {
    return this.threads.reduce((most, thread) => Math.max(most, thread.plain), 0)
  }
}

/** Threads kept for later requests with the same grammar. */
const MAX_THREADS_KEPT = 80_000

/** Numbers threads, so that all that may stand in one state are told apart. */
export class ThreadIds {
  #next = 0

  next(): number {
    return this.#next++
  }
}

/** The threads met so far: equal keys, same thread. */
export class Threads {
  readonly ids: ThreadIds
  #known = new Map<string, Thread>()

  constructor(ids: ThreadIds) {
    this.ids = ids
  }

  of<T extends Thread>(key: string, make: () => T): T {
    const known = this.#known.get(key)
    if (known) return known as T
    if (this.#known.size >= MAX_THREADS_KEPT) this.#known = new Map()
    const thread = make()
    this.#known.set(key, thread)
    return thread
  }
}

/** More ways to read an answer at once than this: the rest is given up, which may forbid but never allow too much. */
const MAX_THREADS = 256

/** States kept for later requests with the same grammar. */
const MAX_STATES = 20_000

/** The states met so far. They are forgotten together when there are too many; those in use live on. */
export class States {
  #known = new Map<string, State>()

  get size(): number {
    return this.#known.size
  }

  of(threads: readonly Thread[]): State {
    const ids =
      threads.length === 1 ? [threads[0]!.id] : [...new Set(threads.map(({ id }) => id))].sort((a, b) => a - b)
    const key = ids.join(' ')
    const known = this.#known.get(key)
    if (known) return known
    if (this.#known.size >= MAX_STATES) this.#known = new Map()
    const unique = threads.length === 1 ? threads : [...new Map(threads.map((thread) => [thread.id, thread])).values()]
    const state = new State(unique.slice(0, MAX_THREADS), this)
    this.#known.set(key, state)
    return state
  }
}

/** Where an answer begins. */
export interface Automaton {
  start(): State
}
