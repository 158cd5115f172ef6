import { TroupeError } from '../core/errors.ts'
import type { MemoryTier } from './memory-tier.ts'
import type { Lease, Resolution, VersionRecord } from './records.ts'
import type { WeightsSource } from './weights-source.ts'

/** Gives requests their hold on the versions they resolved to. */
export class Leases {
  readonly #tier: MemoryTier
  readonly #source: WeightsSource
  readonly #recordOf: (digest: string) => VersionRecord | null
  readonly #open = new Set<Lease>()

  /** @param recordOf stored and draining versions */
  constructor(tier: MemoryTier, source: WeightsSource, recordOf: (digest: string) => VersionRecord | null) {
    this.#tier = tier
    this.#source = source
    this.#recordOf = recordOf
  }

  get count(): number {
    return this.#open.size
  }

  /**
   * Keeps the versions of a request that waits for a place: deleted meanwhile, they drain. Takes no memory, so that those who wait
   * cannot keep it from those who run. Ends with the returned function, which is idempotent.
   */
  claim(resolution: Resolution): () => void {
    return this.#tier.claim(resolution.adapters.map(({ digest }) => digest))
  }

  /** The versions are in use from the call on, not only from when they are loaded. */
  async acquire(resolution: Resolution): Promise<Lease> {
    const from = performance.now()
    const requests = resolution.adapters.map(({ adapter, version, digest }) => {
      const record = this.#recordOf(digest)
      if (!record) throw new TroupeError('version_not_found', `${adapter}@v${version} was deleted meanwhile`)
      return { digest, bytes: record.bytes, load: () => this.#source.load(digest) }
    })
    const pin = await this.#tier.pin(requests)
    const cold = [...pin.tiers.values()].includes('cold')
    const lease: Lease = {
      resolution,
      tiers: pin.tiers,
      loadMs: cold ? performance.now() - from : 0,
      release: () => {
        this.#open.delete(lease)
        pin.release()
      },
    }
    this.#open.add(lease)
    return lease
  }

  /** Throws if a lease's version is not in use. */
  checkIntegrity(): void {
    const leased = new Map<string, number>()
    for (const { resolution } of this.#open) {
      for (const { digest } of resolution.adapters) leased.set(digest, (leased.get(digest) ?? 0) + 1)
    }
    for (const [digest, count] of leased) {
      if (this.#tier.uses(digest) < count) throw new Error(`${digest} has ${count} leases but fewer uses`)
      if (!this.#recordOf(digest)) throw new Error(`${digest} is leased but neither stored nor draining`)
    }
  }
}
