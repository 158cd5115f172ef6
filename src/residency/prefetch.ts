import type { Log } from '../core/log.ts'
import type { Leases } from './leases.ts'
import type { MemoryTier } from './memory-tier.ts'

/** Loads begun ahead at one time; what comes beyond is loaded when it is needed. */
const MAX_AHEAD = 32

/** Brings versions into memory before somebody waits for them. Never waits for memory that requests hold, never fails anybody. */
export class Prefetch {
  readonly #tier: MemoryTier
  readonly #leases: Pick<Leases, 'pinRequest'>
  readonly #log: Log
  readonly #running = new Map<string, Promise<void>>()
  #started = 0

  constructor(tier: MemoryTier, leases: Pick<Leases, 'pinRequest'>, log: Log) {
    this.#tier = tier
    this.#leases = leases
    this.#log = log
  }

  /** Loads begun ahead since the start. */
  get started(): number {
    return this.#started
  }

  want(digests: readonly string[]): void {
    for (const digest of digests) {
      if (this.#tier.has(digest) || this.#running.has(digest) || this.#running.size >= MAX_AHEAD) continue
      this.#started++
      this.#running.set(
        digest,
        this.#load(digest).finally(() => this.#running.delete(digest)),
      )
    }
  }

  async settled(): Promise<void> {
    await Promise.all(this.#running.values())
  }

  async #load(digest: string): Promise<void> {
    try {
      const request = this.#leases.pinRequest(digest)
      if (!request) return
      const pin = await this.#tier.pin([request], false)
      pin.release()
    } catch (error) {
      // Who needs it will get the error; here it is only worth a line.
      this.#log.info({ err: error, digest }, 'a version could not be loaded ahead')
    }
  }
}
