import type { Lease, Resolution } from '../catalogue/records.ts'
import type { Version } from '../catalogue/version.ts'
import { TroupeError } from '../core/errors.ts'
import type { MemoryTier } from './memory-tier.ts'
import type { PinRequest } from './resident-weights.ts'
import type { WeightsSource } from './weights-source.ts'

/** A request's hold: from the call of `claim` or `acquire` on, first while it waits and its weights are loaded, then as a lease. */
interface Hold {
  readonly resolution: Resolution
  readonly controller: AbortController
  lease: Lease | null
}

/** A request that was let in and may still wait for its turn: deleted meanwhile, its versions drain for it. */
export interface Claim {
  /** Aborts, with a TroupeError `version_deleted`, when a version was deleted and the time to finish is over. */
  readonly signal: AbortSignal
  /** The lease on what was claimed, to be taken once. @throws TroupeError as `Leases.acquire` */
  acquire(): Promise<Lease>
  /** Ends the claim and its lease. Idempotent. */
  release(): void
}

type VersionId = Pick<Version, 'adapter' | 'version'>

/** Gives requests their hold on the versions they resolved to. */
export class Leases {
  readonly #tier: MemoryTier
  readonly #source: WeightsSource
  readonly #versionOf: (digest: string) => Version | null
  readonly #holds = new Set<Hold>()

  /** @param versionOf stored and draining versions */
  constructor(tier: MemoryTier, source: WeightsSource, versionOf: (digest: string) => Version | null) {
    this.#tier = tier
    this.#source = source
    this.#versionOf = versionOf
  }

  /** Leases given and not yet released. */
  get count(): number {
    let count = 0
    for (const { lease } of this.#holds) if (lease) count++
    return count
  }

  /** A request's claim takes no memory, so that those who wait cannot keep it from those who run. */
  claim(resolution: Resolution): Claim {
    const hold = this.#hold(resolution)
    const unclaim = this.#tier.claim(resolution.adapters.map(({ digest }) => digest))
    return {
      signal: hold.controller.signal,
      acquire: () => this.#lease(hold, true),
      release: () => {
        hold.lease?.release()
        this.#holds.delete(hold)
        unclaim()
      },
    }
  }

  /** Leases on each digest that has any. */
  byDigest(): ReadonlyMap<string, number> {
    const counts = new Map<string, number>()
    for (const { lease, resolution } of this.#holds)
      if (lease) for (const { digest } of resolution.adapters) counts.set(digest, (counts.get(digest) ?? 0) + 1)
    return counts
  }

  /** Requests that have, or wait for, a version. The same bytes under another adapter's name do not count. */
  holders(version: VersionId): number {
    let count = 0
    for (const hold of this.#holds) if (holds(hold, version)) count++
    return count
  }

  /** Tells all requests that have a version to end, with the reason. They release it themselves. Returns how many. */
  revoke(version: VersionId, reason: TroupeError): number {
    const affected = [...this.#holds].filter((hold) => holds(hold, version))
    for (const { controller } of affected) controller.abort(reason)
    return affected.length
  }

  /** How a version comes into memory; null if it is neither stored nor draining. */
  pinRequest(digest: string): PinRequest | null {
    const version = this.#versionOf(digest)
    const load: PinRequest['load'] = (memory) => this.#source.load(digest, memory)
    return version && { digest, bytes: version.deviceBytes, readBytes: version.bytes, load, exclusive: true }
  }

  /**
   * The versions are in use from the call on, not only from when they are loaded.
   * @param wait false = refuse with `overloaded` at once where others' memory would have to be waited for
   */
  async acquire(resolution: Resolution, wait = true): Promise<Lease> {
    const hold = this.#hold(resolution)
    try {
      return await this.#lease(hold, wait)
    } catch (error) {
      this.#holds.delete(hold)
      throw error
    }
  }

  /** Throws if a lease's version is not in use. */
  checkIntegrity(): void {
    const leased = new Map<string, number>()
    for (const { resolution, lease } of this.#holds) {
      if (lease) for (const { digest } of resolution.adapters) leased.set(digest, (leased.get(digest) ?? 0) + 1)
    }
    for (const [digest, count] of leased) {
      if (this.#tier.uses(digest) < count) throw new Error(`${digest} has ${count} leases but fewer uses`)
      if (!this.#versionOf(digest)) throw new Error(`${digest} is leased but neither stored nor draining`)
    }
  }

  #hold(resolution: Resolution): Hold {
    const hold: Hold = { resolution, controller: new AbortController(), lease: null }
    this.#holds.add(hold)
    return hold
  }

  async #lease(hold: Hold, wait: boolean): Promise<Lease> {
    const { resolution, controller } = hold
    const { signal } = controller
    const from = performance.now()
    const requests = resolution.adapters.map(({ adapter, version, digest }) => {
      const request = this.pinRequest(digest)
      if (!request) throw new TroupeError('version_not_found', `${adapter}@v${version} was deleted meanwhile`)
      return request
    })
    const pin = await this.#tier.pin(requests, wait)
    if (signal.aborted) pin.release()
    signal.throwIfAborted()
    const cold = [...pin.tiers.values()].includes('cold')
    hold.lease = {
      resolution,
      tiers: pin.tiers,
      waitMs: pin.waitMs,
      loadMs: cold ? performance.now() - from - pin.waitMs : 0,
      signal,
      release: () => {
        this.#holds.delete(hold)
        pin.release()
      },
    }
    return hold.lease
  }
}

function holds({ resolution }: Hold, { adapter, version }: VersionId): boolean {
  return resolution.adapters.some((member) => member.adapter === adapter && member.version === version)
}
