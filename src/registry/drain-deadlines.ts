import { TroupeError } from '../core/errors.ts'
import type { Leases } from './leases.ts'
import type { VersionRecord } from './records.ts'

/** How long requests in flight may keep what was deleted, where the caller says nothing. */
export const DEFAULT_DRAIN_SECONDS = 30
export const MAX_DRAIN_SECONDS = 3_600

/** Ends the requests that still use a deleted version when their time is over. */
export class DrainDeadlines {
  readonly #leases: Pick<Leases, 'revoke'>
  readonly #timers = new Set<NodeJS.Timeout>()
  #cutOff = 0

  constructor(leases: Pick<Leases, 'revoke'>) {
    this.#leases = leases
  }

  /** Requests that were ended because their time was over. */
  get cutOff(): number {
    return this.#cutOff
  }

  /** @returns when the time is over, as ISO time */
  set(versions: readonly VersionRecord[], seconds: number): string {
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      for (const { adapter, version } of versions) {
        const message = `${adapter}@v${version} was deleted, and the ${seconds} s that running requests had to finish are over`
        this.#cutOff += this.#leases.revoke({ adapter, version }, new TroupeError('version_deleted', message))
      }
    }, seconds * 1_000)
    timer.unref()
    this.#timers.add(timer)
    return new Date(Date.now() + seconds * 1_000).toISOString()
  }

  /** Forgets all deadlines: the process ends its requests itself. */
  stop(): void {
    for (const timer of this.#timers) clearTimeout(timer)
    this.#timers.clear()
  }
}
