import type { EngineStats } from '../core/messages.ts'
import type { RegistryStats } from '../registry/stats.ts'
import type { MetricSources } from '../telemetry/metrics.ts'
import type { Admission } from '../tenancy/admission.ts'

/** Where the metrics read the figures that engine, registry and admission keep themselves. */
export function metricSources(
  engine: { stats(): Promise<EngineStats> },
  registry: { stats(): RegistryStats },
  admission: Admission,
): MetricSources {
  return {
    engine: () => engine.stats(),
    registry: () => registry.stats(),
    tiers: () => [{ tier: 'memory', ...registry.stats().memory }],
    queue: () => admission.stats(),
  }
}
