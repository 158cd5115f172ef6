import type { Catalogue } from '../catalogue/catalogue.ts'
import type { Changes } from '../catalogue/changes.ts'
import type { Lease, Resolution, VersionReference } from '../catalogue/records.ts'
import type { TaskRecord } from '../catalogue/task.ts'
import type { Version, VersionRecord } from '../catalogue/version.ts'
import type { Log } from '../core/log.ts'
import type { AdapterHost } from '../engine/engine.ts'
import type { LocalBlobs } from '../store/blobs.ts'
import { blobPrefix } from '../store/blobs.ts'
import type { JournalRecord, Origin } from '../store/record.ts'
import type { Deletion } from './deletion.ts'
import { deletionOf, refuseHeld } from './deletion.ts'
import { DEFAULT_DRAIN_SECONDS, Draining } from './draining.ts'
import type { Claim } from './leases.ts'
import { Leases } from './leases.ts'
import type { LoadPlan } from './load-plan.ts'
import { planLoad } from './load-plan.ts'
import type { AdapterReader } from './loader-messages.ts'
import type { MemoryTierStats } from './memory-tier.ts'
import { MemoryTier } from './memory-tier.ts'
import { pinnedDigests, Pins } from './pins.ts'
import { Prefetch } from './prefetch.ts'
import { WeightsSource } from './weights-source.ts'

export interface ResidencyOptions {
  readonly catalogue: Catalogue
  readonly changes: Changes
  readonly blobs: LocalBlobs
  readonly host: AdapterHost
  readonly read: AdapterReader
  readonly memory: { readonly budgetBytes: number; readonly waitMs?: number | undefined }
  readonly log: Log
  /** Called when something that was deleted is not used here any more. */
  readonly onReleased: () => void
}

/** Counters grow from the start of the process. */
export interface ResidencyStats {
  /** Deleted versions that running requests still use. */
  readonly draining: number
  /** Leases given and not yet released. */
  readonly leases: number
  /** Versions whose loads failed so often that they are given up. */
  readonly failed: number
  /** Versions kept in memory by pins. */
  readonly kept: number
  /** Pinned versions that are not in memory. */
  readonly unmetPins: number
  /** Loads begun before a request needed them. */
  readonly prefetches: number
  /** Requests ended because the version they used was deleted and their time was over. */
  readonly cutOff: number
  readonly memory: MemoryTierStats
}

/** A version that takes memory. */
export interface Resident {
  readonly version: Version
  readonly bytes: number
  /** It cannot be evicted now. */
  readonly pinned: boolean
  /** A pin keeps it in memory. */
  readonly isKept: boolean
  /** Requests that run with it. */
  readonly leases: number
}

/** The one owner of adapter memory: which versions are in it, who uses them, and how long what was deleted stays for those who do. */
export class Residency {
  readonly tier: MemoryTier
  readonly #options: ResidencyOptions
  readonly #source: WeightsSource
  readonly #leases: Leases
  readonly #draining: Draining
  readonly #pins: Pins
  readonly #prefetch: Prefetch

  constructor(options: ResidencyOptions) {
    const { catalogue, host, log, read, blobs, memory } = options
    this.#options = options
    this.#draining = new Draining(() => this.#leases)
    this.tier = new MemoryTier({
      budgetBytes: memory.budgetBytes,
      host,
      onIdle: (digest) => this.#onIdle(digest),
      ...(memory.waitMs === undefined ? {} : { waitMs: memory.waitMs }),
    })
    this.#source = new WeightsSource(read, blobs, (digest) => this.versionOf(digest))
    this.#leases = new Leases(this.tier, this.#source, (digest) => this.versionOf(digest))
    this.#prefetch = new Prefetch(this.tier, this.#leases, log)
    this.#pins = new Pins({ tier: this.tier, leases: this.#leases, log, wanted: () => pinnedDigests(catalogue) })
  }

  /** Begins to load what tasks route to and what is pinned. Nothing is waited for. */
  start(): void {
    this.#bringIn([...this.#options.catalogue.state.tasks.values()])
  }

  /** Takes part in a change of the store, whoever made it. */
  onRecord(record: JournalRecord): void {
    const { state } = this.#options.catalogue
    if (record.type === 'version.deleted' || record.type === 'adapter.deleted') this.#letGo(record)
    if (record.type === 'version.repaired') {
      const { adapter, version } = record.data as { adapter: string; version: number }
      this.#source.failures.forget(state.byNumber(adapter, version)?.digest ?? '')
    }
    const task = record.type === 'task.put' && state.tasks.get((record.data as { name: string }).name)
    if (task) this.#bringIn([task])
    else this.#pins.follow()
  }

  /** Tries again what could not be kept in memory. */
  retryPins(): void {
    if (this.#pins.unmet > 0) this.#pins.follow()
  }

  /** Keeps the versions of a request until it is released, also while it only waits for its turn. */
  claim(resolution: Resolution): Claim {
    return this.#leases.claim(resolution)
  }

  /**
   * Takes a lease: the versions are loaded and stay until it is released. They are in use from the moment of the call.
   * @param wait false = `overloaded` at once instead of waiting for memory that others hold
   * @throws TroupeError `version_not_found`, `version_deleted`, `overloaded`, `digest_mismatch`, `storage_error`, `invalid_request` (never fits)
   */
  async acquire(resolution: Resolution, wait = true): Promise<Lease> {
    return this.#leases.acquire(resolution, wait)
  }

  /** Begins to load what a request will need, while it waits for its turn. Never fails. */
  prefetch(resolution: Resolution): void {
    this.#prefetch.want(resolution.adapters.map(({ digest }) => digest))
  }

  /** What it would take to have versions ready at once; nothing is done. @throws TroupeError as for a request that names them */
  async plan(
    items: readonly { readonly name: string; readonly version?: VersionReference | undefined }[],
    tenant: string,
  ): Promise<LoadPlan> {
    const { catalogue, host } = this.#options
    const { rate } = this.#source
    return planLoad(
      { catalogue, host, tier: this.tier, rate, versionOf: (digest) => this.versionOf(digest) },
      items,
      tenant,
    )
  }

  /** The versions in memory or on their way there, in the order in which they would be evicted, with the leases on each. */
  residents(): readonly Resident[] {
    const leases = this.#leases.byDigest()
    return this.tier.content().residents.flatMap(({ digest, bytes, pinned }) => {
      const version = this.versionOf(digest)
      return version
        ? [{ version, bytes, pinned, isKept: this.#pins.holds(digest), leases: leases.get(digest) ?? 0 }]
        : []
    })
  }

  /** Tries now to load a version whose loads failed. @throws TroupeError what the load fails with */
  async retryVersion(name: string, reference: VersionReference): Promise<VersionRecord> {
    const { catalogue } = this.#options
    const { digest, version } = catalogue.named(name, reference)
    this.#source.failures.forget(digest)
    const request = this.#leases.pinRequest(digest)
    if (request) (await this.tier.pin([request])).release()
    return catalogue.getVersion(name, version, '*')
  }

  /**
   * Deletes one version.
   * @param drainSeconds how long requests in flight may keep it; 0 = refuse when this server has any
   * @throws TroupeError `adapter_in_use` naming the tasks that route to it or the number of requests in flight, `invalid_request`,
   * `adapter_not_found`, `version_not_found`, `storage_error`
   */
  async deleteVersion(
    name: string,
    reference: VersionReference,
    origin: Origin,
    drainSeconds = DEFAULT_DRAIN_SECONDS,
  ): Promise<Deletion> {
    const version = this.#options.catalogue.named(name, reference)
    refuseHeld(`${name}@v${version.version}`, [version], drainSeconds, this.#leases)
    await this.#options.changes.deleteVersion(name, version.version, drainSeconds, origin)
    return deletionOf([version], this.#draining, this.#leases)
  }

  /** Deletes an adapter with all its versions. @throws TroupeError as `deleteVersion` */
  async deleteAdapter(name: string, origin: Origin, drainSeconds = DEFAULT_DRAIN_SECONDS): Promise<Deletion> {
    const versions = this.#options.catalogue.state.adapters.get(name)?.versions ?? []
    refuseHeld(name, versions, drainSeconds, this.#leases)
    await this.#options.changes.deleteAdapter(name, drainSeconds, origin)
    return deletionOf(versions, this.#draining, this.#leases)
  }

  /** A stored or draining version. */
  versionOf(digest: string): Version | null {
    const { state } = this.#options.catalogue
    const [adapter] = state.adaptersOf(digest)
    return adapter === undefined ? this.#draining.version(digest) : state.byDigest(adapter, digest)
  }

  /** Whether requests, pins or loads need a version. */
  isUsed(digest: string): boolean {
    return this.tier.uses(digest) > 0
  }

  drainingRecords(): readonly VersionRecord[] {
    return this.#draining.records()
  }

  /** Why the loads of a version were given up; null = they were not. */
  failureOf(digest: string): string | null {
    return this.#source.failures.finalReason(digest)
  }

  stats(): ResidencyStats {
    return {
      draining: this.#draining.count,
      leases: this.#leases.count,
      failed: this.#source.failures.finalCount,
      kept: this.#pins.held,
      unmetPins: this.#pins.unmet,
      prefetches: this.#prefetch.started,
      cutOff: this.#draining.cutOff,
      memory: this.tier.stats(),
    }
  }

  /** Throws if the books of memory and leases do not agree. */
  checkIntegrity(): void {
    this.tier.checkIntegrity()
    this.#leases.checkIntegrity()
    for (const { digest } of this.#draining.records()) {
      if (!this.isUsed(digest)) throw new Error(`${digest} is draining though nobody uses it`)
    }
  }

  /** Lets what was begun come to its end. Leases may be released afterwards. */
  async close(): Promise<void> {
    this.#draining.stop()
    await this.#pins.stop()
    await this.#prefetch.settled()
  }

  /** Requests will come along the routes of tasks: what they need is brought in now. */
  #bringIn(tasks: readonly TaskRecord[]): void {
    const { state } = this.#options.catalogue
    const routes = tasks.flatMap((task) => task.routes)
    this.#prefetch.want(routes.flatMap(({ adapter, version }) => state.byNumber(adapter, version)?.digest ?? []))
    this.#pins.follow()
  }

  #onIdle(digest: string): void {
    const drained = this.#draining.onIdle(digest)
    if (this.#options.catalogue.state.adaptersOf(digest).length > 0) return
    this.tier.forget(digest)
    if (drained) this.#options.onReleased()
  }

  /** What a record deleted is not there for new requests any more; running ones keep it for a while. */
  #letGo({ n, data }: JournalRecord): void {
    const { log, catalogue, onReleased } = this.#options
    const { state } = catalogue
    const { drainSeconds } = data as { readonly drainSeconds: number }
    for (const version of state.deleted.filter((one) => state.condemned.get(blobPrefix(one))?.n === n)) {
      const { adapter, version: number, digest } = version
      if (state.adaptersOf(digest).length === 0) this.#pins.release(digest)
      const draining = this.isUsed(digest)
      // Whoever came while a deletion without draining was carried out was let in rightly: it gets the usual time.
      if (draining) this.#draining.add(version, drainSeconds === 0 ? DEFAULT_DRAIN_SECONDS : drainSeconds)
      if (state.adaptersOf(digest).length === 0) this.tier.forget(digest)
      log.info({ adapter, version: number, digest, draining }, 'version deleted')
    }
    onReleased()
  }
}
