import type { RegistryParts } from './assembly.ts'
import type { RegistryStats } from './stats.ts'

/** What the registry itself counts. */
export type RegistryCounts = Pick<
  RegistryStats,
  'uploads' | 'refusedUploads' | 'activations' | 'rollbacks' | 'deletions'
>

export function collectStats(parts: RegistryParts, counts: RegistryCounts): RegistryStats {
  return {
    adapters: parts.catalogue.adapterCount,
    versions: parts.catalogue.versionCount,
    tasks: parts.tasks.all.size,
    draining: parts.draining.count,
    rejected: parts.dropped.rejected().length + parts.follower.damaged.length,
    leases: parts.leases.count,
    cutOff: parts.deadlines.cutOff,
    failed: parts.source.failures.finalCount,
    kept: parts.pins.held,
    unmetPins: parts.pins.unmet,
    prefetches: parts.prefetch.started,
    mergedProbes: parts.merged.counts.compared,
    mergedProbeSeconds: parts.merged.counts.seconds,
    memory: parts.tier.stats(),
    imports: parts.dropped.imported,
    ...counts,
    storeError: parts.follower.error,
  }
}
