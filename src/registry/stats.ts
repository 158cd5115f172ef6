import type { MemoryTierStats } from './memory-tier.ts'

/** Numbers for metrics and health; counters grow from the start of the process. */
export interface RegistryStats {
  readonly adapters: number
  readonly versions: number
  readonly tasks: number
  /** Deleted versions that running requests still use. */
  readonly draining: number
  /** Dropped folders and stored versions that cannot be used. */
  readonly rejected: number
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
  /** Versions compared with merged weights, and the time that took. */
  readonly mergedProbes: number
  readonly mergedProbeSeconds: number
  /** Requests ended because the version they used was deleted and their time was over. */
  readonly cutOff: number
  readonly memory: MemoryTierStats
  readonly uploads: number
  readonly refusedUploads: number
  readonly imports: number
  readonly activations: number
  readonly rollbacks: number
  readonly deletions: number
  /** Why the store cannot be read now; null = it can. */
  readonly storeError: string | null
}
