import type { Stores } from '../../support/stores.ts'

/** How large a scenario is run: small inside `npm test`, large by `npm run chaos`. The scenario is the same. */
export interface Scale {
  /** Requests of a load. */
  readonly requests: number
  /** Repetitions of what is repeated: kills, schedules. */
  readonly rounds: number
  /** It ends earlier when this time is over. */
  readonly seconds: number
  /** Where its stores are; left out = folders. */
  readonly stores?: Stores
}

/** When a scenario's time is over. */
export class Deadline {
  readonly #at: number

  constructor(seconds: number) {
    this.#at = performance.now() + seconds * 1000
  }

  get isOver(): boolean {
    return performance.now() >= this.#at
  }
}

/** What a scenario found: the violations of what Troupe promises, each said in one line, and figures for the report. */
export interface Findings {
  readonly violations: readonly string[]
  readonly figures: Readonly<Record<string, number>>
}

/** Violations are kept up to this many: after that they repeat themselves. */
const MOST_KEPT = 20

/** Collects violations. */
export class Verdict {
  readonly #kept: string[] = []
  #count = 0

  /** Takes note of a violation if `holds` is false. */
  expect(holds: boolean, violation: string): void {
    if (holds) return
    this.#count++
    if (this.#kept.length < MOST_KEPT) this.#kept.push(violation)
  }

  get count(): number {
    return this.#count
  }

  get violations(): readonly string[] {
    const more = this.#count - this.#kept.length
    return more > 0 ? [...this.#kept, `… and ${more} more`] : this.#kept
  }
}

/** A small generator of uniform numbers in [0, 1), the same for a seed everywhere (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** An element chosen by a number in [0, 1). */
export function pick<T>(items: readonly T[], point: number): T {
  const item = items[Math.floor(point * items.length)]
  if (item === undefined) throw new Error('nothing to pick from')
  return item
}

/** The value below which a share `q` of the values lies. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? 0
}

/** Runs `job` for 0 … count - 1, `concurrency` at a time, until the deadline. Returns how many ran. */
export async function runConcurrently(
  count: number,
  concurrency: number,
  deadline: Pick<Deadline, 'isOver'>,
  job: (index: number) => Promise<void>,
): Promise<number> {
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < count && !deadline.isOver) await job(next++)
  }
  await Promise.all(Array.from({ length: Math.min(concurrency, count) }, worker))
  return next
}
