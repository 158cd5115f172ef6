import { describe, expect, it } from 'vitest'
import { BoundedLabels } from '../../src/telemetry/bounded-labels.ts'
import { Metrics } from '../../src/telemetry/metrics.ts'
import type { GenerationReport, MetricSources } from '../../src/telemetry/metrics.ts'
import { FakeEngine } from '../support/fake-engine.ts'

const report: GenerationReport = {
  task: 'extract',
  tenant: 'acme',
  status: 'ok',
  promptTokens: 7,
  completionTokens: 5,
  queueSeconds: 0.02,
  adapters: [{ adapter: 'json', version: 2 }],
}

function sources(overrides: Partial<MetricSources> = {}): MetricSources {
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
    queue: () => ({ waiting: 2, running: 3, requests: 4 }),
    ...overrides,
  }
}

describe('Metrics', () => {
  it('reads levels and foreign counters at every scrape, without adding them up', async () => {
    const metrics = new Metrics({ process: false })
    metrics.observe(sources())
    await metrics.render()
    const text = await metrics.render()
    for (const line of [
      'troupe_engine_up 1',
      'troupe_engine_kv_pages_shared 4',
      'troupe_engine_paused 1',
      'troupe_engine_steps_total 11',
      'troupe_engine_step_seconds_total 0.5',
      'troupe_queue_waiting 2',
      'troupe_queue_running 3',
      'troupe_open_requests 4',
      'troupe_tier_bytes{tier="memory"} 100',
      'troupe_tier_hits_total{tier="memory"} 9',
      'troupe_adapters 3',
      'troupe_rollbacks_total 8',
    ])
      expect(text.split('\n')).toContain(line)
    expect(text).toContain('# TYPE troupe_tier_hits_total counter')
    expect(text).toContain('# TYPE troupe_tier_bytes gauge')
  })

  it('says that the engine is down instead of failing', async () => {
    const metrics = new Metrics({ process: false })
    metrics.observe(sources({ engine: () => Promise.reject(new Error('gone')) }))
    const lines = (await metrics.render()).split('\n')
    expect(lines).toContain('troupe_engine_up 0')
    expect(lines).toContain('troupe_queue_waiting 2')
  })

  it('counts generations by task, tenant and adapter version', async () => {
    const metrics = new Metrics({ process: false })
    metrics.generationEnded(report)
    metrics.generationEnded({ ...report, task: null, status: 'error', adapters: [] })
    metrics.firstToken(0.03)
    metrics.nextToken(0.004)
    metrics.refused('overloaded')
    const text = await metrics.render()
    for (const line of [
      'troupe_generations_total{task="extract",status="ok"} 1',
      'troupe_generations_total{task="",status="error"} 1',
      'troupe_prompt_tokens_total{tenant="acme"} 14',
      'troupe_completion_tokens_total{tenant="acme"} 10',
      'troupe_tenant_requests_total{tenant="acme",status="ok"} 1',
      'troupe_adapter_requests_total{adapter="json",version="v2"} 1',
      'troupe_time_to_first_token_seconds_bucket{le="0.05"} 1',
      'troupe_inter_token_seconds_bucket{le="0.005"} 1',
      'troupe_queue_seconds_bucket{le="0.025"} 2',
      'troupe_requests_refused_total{code="overloaded"} 1',
    ])
      expect(text.split('\n')).toContain(line)
  })

  it('never grows beyond its bound, whatever names come', async () => {
    const metrics = new Metrics({ process: false })
    for (let i = 0; i < 1000; i++)
      metrics.generationEnded({
        ...report,
        task: `task-${i}`,
        tenant: `tenant-${i}`,
        adapters: [{ adapter: `a-${i}`, version: 1 }],
      })
    const lines = (await metrics.render()).split('\n')
    const series = (name: string) => lines.filter((line) => line.startsWith(`${name}{`))
    expect(series('troupe_generations_total')).toHaveLength(201)
    expect(lines).toContain('troupe_generations_total{task="other",status="ok"} 800')
    expect(series('troupe_prompt_tokens_total')).toHaveLength(201)
    expect(lines).toContain('troupe_adapter_requests_total{adapter="other",version="other"} 800')
  })

  it('has the figures of the process unless told otherwise', async () => {
    expect(await new Metrics().render()).toContain('troupe_process_cpu_seconds_total')
  })
})

describe('BoundedLabels', () => {
  it('keeps the first names and calls the rest other', () => {
    const labels = new BoundedLabels(2)
    expect(['a', 'b', 'c', 'a'].map((name) => labels.label(name))).toEqual(['a', 'b', 'other', 'a'])
  })
})
