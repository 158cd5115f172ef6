import { counter, gauge } from './read-metric.ts'
import type { ReadMetric } from './read-metric.ts'

/** Figures of adapters, tasks and the store; those of the tiers are apart. */
export interface StoreNumbers {
  readonly adapters: number
  readonly versions: number
  readonly tasks: number
  readonly draining: number
  readonly rejected: number
  readonly leases: number
  readonly cutOff: number
  readonly failed: number
  readonly kept: number
  readonly unmetPins: number
  readonly prefetches: number
  readonly mergedProbes: number
  readonly mergedProbeSeconds: number
  readonly imports: number
  readonly activations: number
  readonly rollbacks: number
  readonly deletions: number
  readonly journalHead: number
  readonly condemnedBlobs: number
  readonly storeError: string | null
}

/** Every figure of `StoreNumbers`. */
export const STORE_METRICS: readonly ReadMetric<StoreNumbers>[] = [
  gauge('adapters', 'Adapters with at least one version.', (r) => r.adapters),
  gauge('adapter_versions', 'Versions that can be served.', (r) => r.versions),
  gauge('tasks', 'Tasks.', (r) => r.tasks),
  gauge('draining_versions', 'Deleted versions that running requests still use.', (r) => r.draining),
  gauge('rejected_versions', 'Folders in the inbox and records in the journal that cannot be used.', (r) => r.rejected),
  gauge('leases', 'Leases held by requests.', (r) => r.leases),
  counter(
    'drain_cut_off_total',
    'Requests ended because the time to finish with a deleted version was over.',
    (r) => r.cutOff,
  ),
  gauge('failed_versions', 'Versions whose loads failed so often that they are given up.', (r) => r.failed),
  gauge('pinned_versions', 'Versions kept in memory by pins.', (r) => r.kept),
  gauge('unmet_pins', 'Pinned versions that are not in memory.', (r) => r.unmetPins),
  counter('prefetches_total', 'Loads begun before a request needed them.', (r) => r.prefetches),
  counter('merged_probes_total', 'Versions compared with merged weights.', (r) => r.mergedProbes),
  counter('merged_probe_seconds_total', 'Time until merged weights had answered.', (r) => r.mergedProbeSeconds),
  counter('imports_total', 'Folders in the inbox that became versions.', (r) => r.imports),
  counter('activations_total', 'Activations of a version for a task.', (r) => r.activations),
  counter('rollbacks_total', 'Rollbacks of a task.', (r) => r.rollbacks),
  counter('deletions_total', 'Deletions of adapters and versions.', (r) => r.deletions),
  gauge('store_available', 'Whether the store could be used the last time: 1 or 0.', (r) =>
    r.storeError === null ? 1 : 0,
  ),
  gauge('journal_head', 'Number of the last record of the journal known here.', (r) => r.journalHead),
  gauge('condemned_blobs', 'Deleted versions whose files are still there.', (r) => r.condemnedBlobs),
]
