import type { MetricSources } from '../../src/telemetry/metrics.ts'
import { FakeEngine } from '../support/fake-engine.ts'

/** Where metrics of tests come from. */
export function metricSources(overrides: Partial<MetricSources> = {}): MetricSources {
  const figures = {
    adapters: 3,
    versions: 4,
    tasks: 2,
    draining: 0,
    rejected: 1,
    cutOff: 14,
    failed: 15,
    kept: 16,
    unmetPins: 17,
    prefetches: 18,
    mergedProbes: 19,
    mergedProbeSeconds: 20.5,
    leases: 5,
  }
  const tier = { tier: 'memory', bytes: 100, budgetBytes: 1000, versions: 2, hits: 9, loads: 4, evictions: 1 }
  return {
    engine: () => new FakeEngine().stats(),
    tiers: () => [tier],
    grammars: () => ({ compiled: 10, hits: 11, refused: 12, seconds: 13.5 }),
    store: () => ({
      ...figures,
      imports: 6,
      activations: 7,
      rollbacks: 8,
      deletions: 9,
      journalHead: 21,
      condemnedBlobs: 1,
      storeError: null,
    }),
    weights: () => ({ checkedBytes: 7000, damagedTensors: 0 }),
    residents: () => [{ name: 'a@v1', rank: 8, isKept: true }],
    queue: () => ({ waiting: 2, running: 3, requests: 4, shed: 5 }),
    ...overrides,
  }
}
