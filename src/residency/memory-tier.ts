import { TroupeError } from '../core/errors.ts'
import type { Tier } from '../core/generation.ts'
import type { AdapterHost } from '../engine/engine.ts'
import type { TierContent } from './eviction-plan.ts'
import type { Pinned, PinRequest } from './resident-weights.ts'
import { ResidentWeights } from './resident-weights.ts'
import { WaitLine } from './wait-line.ts'

/** A hold on some versions: they stay in memory until `release`, which is idempotent. */
export interface Pin {
  /** `warm` = was in memory. */
  readonly tiers: ReadonlyMap<string, Tier>
  /** Waiting until others released memory; loading is not in it. */
  readonly waitMs: number
  release(): void
}

export interface MemoryTierOptions {
  readonly budgetBytes: number
  readonly host: Pick<AdapterHost, 'hold' | 'drop' | 'residents'>
  /** Called when the last user of a digest is gone. */
  readonly onIdle?: (digest: string) => void
  /** How long a request waits for others to release memory. */
  readonly waitMs?: number
  readonly maxWaiting?: number
}

/** Counters grow from the start of the process. */
export interface MemoryTierStats {
  readonly bytes: number
  readonly budgetBytes: number
  readonly versions: number
  readonly pinned: number
  readonly waiting: number
  readonly hits: number
  readonly loads: number
  readonly failedLoads: number
  readonly evictions: number
}

/**
 * Adapter weights in host memory within a budget of bytes. A request pins all it needs at once or waits holding nothing, first
 * come first served: so two requests can never wait for each other's memory.
 */
export class MemoryTier {
  readonly #budgetBytes: number
  readonly #onIdle: (digest: string) => void
  readonly #residents: ResidentWeights
  /** Claims, pins and waiters by digest: from the call of `claim` or `pin` to the release. */
  readonly #uses = new Map<string, number>()
  readonly #waiting: WaitLine<readonly PinRequest[], Pinned>

  constructor(options: MemoryTierOptions) {
    this.#budgetBytes = options.budgetBytes
    this.#onIdle = options.onIdle ?? (() => undefined)
    this.#residents = new ResidentWeights(options.budgetBytes, options.host, () => this.#admitWaiters())
    this.#waiting = new WaitLine(options.maxWaiting ?? 1_024, options.waitMs ?? 10_000, memoryHeld)
  }

  /**
   * Pins versions, loading what is not in memory. The digests count as in use from the moment of the call.
   * @throws TroupeError `invalid_request` if they can never fit together, `overloaded` if others keep the memory too long, and
   * whatever a load throws
   * @param wait false = `overloaded` at once instead of waiting for others' memory
   */
  async pin(requests: readonly PinRequest[], wait = true): Promise<Pin> {
    for (const { digest } of requests) this.#uses.set(digest, this.uses(digest) + 1)
    let pinned: Pinned = []
    let released = false
    const release = (): void => {
      if (released) return
      released = true
      for (const { entry } of pinned) this.#residents.unpin(entry)
      for (const { digest } of requests) this.#unuse(digest)
      this.#admitWaiters()
    }
    const from = performance.now()
    let waitMs = 0
    try {
      const admission = this.#admission(requests, wait)
      pinned = await admission
      if (admission instanceof Promise) waitMs = performance.now() - from
      const loads = await Promise.allSettled(pinned.map(({ entry }) => entry.loading ?? Promise.resolve()))
      const failed = loads.find((load) => load.status === 'rejected')
      if (failed) throw failed.reason
    } catch (error) {
      release()
      throw error
    }
    return { tiers: new Map(pinned.map(({ entry, tier }) => [entry.digest, tier])), waitMs, release }
  }

  /** Counts digests as in use, without having them in memory, until the returned function is called; that is idempotent. */
  claim(digests: readonly string[]): () => void {
    for (const digest of digests) this.#uses.set(digest, this.uses(digest) + 1)
    let released = false
    return () => {
      if (released) return
      released = true
      for (const digest of digests) this.#unuse(digest)
    }
  }

  /** Claims, pins and waiters of a digest. */
  uses(digest: string): number {
    return this.#uses.get(digest) ?? 0
  }

  /** Whether a version is there, or being loaded. */
  has(digest: string): boolean {
    return this.#residents.has(digest)
  }

  /** Drops a version that is not in use; otherwise does nothing. */
  forget(digest: string): void {
    if (this.uses(digest) === 0) this.#residents.forget(digest)
  }

  /** What is in memory or on its way there, in the order in which it would be evicted. */
  content(): TierContent {
    return { budgetBytes: this.#budgetBytes, residents: this.#residents.list() }
  }

  stats(): MemoryTierStats {
    return { ...this.#residents.stats(), budgetBytes: this.#budgetBytes, waiting: this.#waiting.length }
  }

  /** Throws if the books do not agree. */
  checkIntegrity(): void {
    this.#residents.checkIntegrity()
    for (const [digest, count] of this.#uses) {
      if (count < 1) throw new Error(`memory tier: ${digest} is in use by nobody`)
      if (this.#residents.pins(digest) > count) throw new Error(`memory tier: ${digest} has more pins than users`)
    }
    const first = this.#waiting.first
    if (first && this.#residents.fits(first)) throw new Error('memory tier: a request waits though its memory is free')
  }

  #admission(requests: readonly PinRequest[], wait: boolean): Pinned | Promise<Pinned> {
    const total = requests.reduce((sum, request) => sum + request.bytes, 0)
    if (total > this.#budgetBytes) {
      const message =
        `the adapters of one request need ${total} bytes of host memory and the budget is ${this.#budgetBytes}: ` +
        'use fewer adapters, or raise the budget'
      throw new TroupeError('invalid_request', message, { param: 'adapters' })
    }
    // Who only joins what is pinned already takes nothing from those who wait.
    const mayPass = this.#waiting.length === 0 || this.#residents.demand(requests) === 0
    if (mayPass && this.#residents.fits(requests)) return this.#residents.pin(requests)
    if (!wait) throw memoryHeld()
    return this.#waiting.join(requests, () => this.#admitWaiters())
  }

  #admitWaiters(): void {
    this.#waiting.serve((requests) => (this.#residents.fits(requests) ? this.#residents.pin(requests) : null))
  }

  #unuse(digest: string): void {
    const uses = this.uses(digest) - 1
    if (uses > 0) {
      this.#uses.set(digest, uses)
      return
    }
    this.#uses.delete(digest)
    this.#onIdle(digest)
  }
}

function memoryHeld(): TroupeError {
  const message = 'all adapter memory is held by running requests; repeat later or raise its budget'
  return new TroupeError('overloaded', message, { retryAfterSeconds: 1 })
}
