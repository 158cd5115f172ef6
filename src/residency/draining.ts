import type { Version, VersionRecord } from '../catalogue/version.ts'
import { TroupeError } from '../core/errors.ts'
import type { Leases } from './leases.ts'

/** How long requests in flight may keep what was deleted, where the caller says nothing. */
export const DEFAULT_DRAIN_SECONDS = 30
export const MAX_DRAIN_SECONDS = 3_600

interface Leaving {
  readonly version: Version
  /** ISO time at which requests that still run are ended. */
  readonly deadline: string
}

/** Deleted versions that running requests still use: they cannot be resolved any more, and the last user or the deadline ends them. */
export class Draining {
  readonly #byDigest = new Map<string, Leaving[]>()
  readonly #timers = new Set<NodeJS.Timeout>()
  readonly #leases: () => Pick<Leases, 'revoke'>
  #cutOff = 0

  constructor(leases: () => Pick<Leases, 'revoke'>) {
    this.#leases = leases
  }

  /** Requests that were ended because their time was over. */
  get cutOff(): number {
    return this.#cutOff
  }

  get count(): number {
    return this.#byDigest.size
  }

  /**
   * Takes over a deleted version that is in use.
   * @param seconds how long its users may go on
   */
  add(version: Version, seconds: number): void {
    const deadline = new Date(Date.now() + seconds * 1_000).toISOString()
    const { adapter, version: number, digest } = version
    this.#byDigest.set(digest, [...(this.#byDigest.get(digest) ?? []), { version, deadline }])
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      const message = `${adapter}@v${number} was deleted, and the ${seconds} s that running requests had to finish are over`
      this.#cutOff += this.#leases().revoke({ adapter, version: number }, new TroupeError('version_deleted', message))
    }, seconds * 1_000)
    timer.unref()
    this.#timers.add(timer)
  }

  version(digest: string): Version | null {
    return this.#byDigest.get(digest)?.[0]?.version ?? null
  }

  /** ISO time at which the users of a version are ended; null = it does not drain. */
  deadline({ digest, adapter, version }: Pick<Version, 'digest' | 'adapter' | 'version'>): string | null {
    const leaving = this.#byDigest.get(digest) ?? []
    return leaving.find((one) => one.version.adapter === adapter && one.version.version === version)?.deadline ?? null
  }

  records(): VersionRecord[] {
    return [...this.#byDigest.values()]
      .flat()
      .map(({ version }) => ({ ...version, state: 'draining' as const, reason: null }))
  }

  /** The last user of a digest is gone. @returns whether it was draining */
  onIdle(digest: string): boolean {
    return this.#byDigest.delete(digest)
  }

  /** Forgets all deadlines: the process ends its requests itself. */
  stop(): void {
    for (const timer of this.#timers) clearTimeout(timer)
    this.#timers.clear()
  }
}
