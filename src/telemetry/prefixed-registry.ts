import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { ReadMetric } from './read-metric.ts'

export const PREFIX = 'troupe_'

/** Residency of one tier: levels now, and counters that grow from the start of the process. */
export interface TierNumbers {
  readonly tier: string
  readonly bytes: number
  readonly budgetBytes: number | null
  readonly versions: number
  readonly hits: number
  readonly loads: number
  readonly evictions: number
  /** Left out where loads do not fail. */
  readonly failedLoads?: number
}

/** A registry of metrics whose names all begin alike, and the ways to fill it. */
export class PrefixedRegistry {
  readonly registry = new Registry()

  counter<L extends string = never>(name: string, help: string, labelNames: readonly L[] = []): Counter<L> {
    return new Counter({ name: PREFIX + name, help, labelNames: [...labelNames], registers: [this.registry] })
  }

  gauge<L extends string = never>(name: string, help: string, labelNames: readonly L[] = []): Gauge<L> {
    return new Gauge({ name: PREFIX + name, help, labelNames: [...labelNames], registers: [this.registry] })
  }

  histogram<L extends string = never>(
    name: string,
    help: string,
    buckets: number[],
    labelNames: readonly L[] = [],
  ): Histogram<L> {
    return new Histogram({
      name: PREFIX + name,
      help,
      buckets,
      labelNames: [...labelNames],
      registers: [this.registry],
    })
  }

  /** Makes metrics of figures that somebody else keeps. @returns sets them to what a source says now */
  readMetrics<T>(metrics: readonly ReadMetric<T>[]): (source: T) => void {
    const targets = metrics.map(({ kind, name, help, read }) => {
      const target = kind === 'gauge' ? this.gauge(name, help) : this.counter(name, help)
      return { target, read }
    })
    return (source) => {
      for (const { target, read } of targets) assign(target, read(source))
    }
  }

  /** The same for figures by tier. */
  tiers(): (tier: TierNumbers) => void {
    const bytes = this.gauge('tier_bytes', 'Bytes of adapter weights in a tier.', ['tier'])
    const budget = this.gauge('tier_budget_bytes', 'Byte limit of a tier.', ['tier'])
    const versions = this.gauge('tier_versions', 'Adapter versions in a tier.', ['tier'])
    const hits = this.counter('tier_hits_total', 'Requests that found their version in a tier.', ['tier'])
    const loads = this.counter('tier_loads_total', 'Versions brought into a tier.', ['tier'])
    const evictions = this.counter('tier_evictions_total', 'Versions pushed out of a tier.', ['tier'])
    const failed = this.counter('tier_failed_loads_total', 'Loads into a tier that failed.', ['tier'])
    return (numbers) => {
      const labels = { tier: numbers.tier }
      bytes.set(labels, numbers.bytes)
      if (numbers.budgetBytes !== null) budget.set(labels, numbers.budgetBytes)
      versions.set(labels, numbers.versions)
      assign(hits, numbers.hits, labels)
      assign(loads, numbers.loads, labels)
      assign(evictions, numbers.evictions, labels)
      if (numbers.failedLoads !== undefined) assign(failed, numbers.failedLoads, labels)
    }
  }
}

/** Sets a gauge, or a counter that somebody else counts, to an absolute value. */
function assign<L extends string>(
  metric: Counter<L> | Gauge<L>,
  value: number,
  labels = {} as Record<L, string>,
): void {
  if (metric instanceof Gauge) return metric.set(labels, value)
  metric.remove(labels)
  metric.inc(labels, value)
}
