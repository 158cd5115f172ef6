import { describe, expect, it } from 'vitest'
import { BoundedLabels } from '../../src/telemetry/bounded-labels.ts'
import { Metrics } from '../../src/telemetry/metrics.ts'
import type { GenerationReport } from '../../src/telemetry/metrics.ts'
import { FakeEngine } from '../support/fake-engine.ts'
import { metricSources } from './metric-sources.ts'

const report: GenerationReport = {
  task: 'extract',
  tenant: 'acme',
  status: 'ok',
  promptTokens: 7,
  completionTokens: 5,
  queueSeconds: 0.02,
  adapters: [{ adapter: 'json', version: 2 }],
}

describe('Metrics', () => {
  it('reads levels and foreign counters at every scrape, without adding them up', async () => {
    const metrics = new Metrics({ process: false })
    metrics.observe(metricSources())
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
    metrics.observe(metricSources({ engine: () => Promise.reject(new Error('gone')) }))
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

describe('vLLM’s gauges', () => {
  it('say what runs, what waits, how full the cache is, and by which names adapters were asked for', async () => {
    const metrics = new Metrics({ process: false })
    metrics.observe(
      metricSources({
        engine: async () => ({ ...(await new FakeEngine().stats()), running: 5, queued: 1, kvTokens: 400 }),
      }),
    )
    const info = async (): Promise<string> => /^vllm:lora_requests_info{(.*)}/m.exec(await metrics.render())?.[1] ?? ''
    expect(await info()).toBe('max_lora="8",running_lora_adapters="",waiting_lora_adapters=""')
    const text = await metrics.render()
    for (const line of ['vllm:num_requests_running 5', 'vllm:num_requests_waiting 4', 'vllm:kv_cache_usage_perc 0.3'])
      expect(text.split('\n')).toContain(line)

    const [first, second, third] = ['a', 'b', 'b'].map((name) => metrics.adapterUse(name)!)
    first!.runs()
    first!.runs()
    expect(await info()).toBe('max_lora="8",running_lora_adapters="a",waiting_lora_adapters="b"')
    second!.runs()
    third!.ends()
    expect(await info()).toBe('max_lora="8",running_lora_adapters="a,b",waiting_lora_adapters=""')
    for (const use of [first, second, third]) use!.ends()
    expect(await info()).toBe('max_lora="8",running_lora_adapters="",waiting_lora_adapters=""')
    // Only the series of this moment: the names would be endless labels.
    expect((await metrics.render()).match(/^vllm:lora_requests_info{/gm)).toHaveLength(1)
  })

  it('say which versions are in memory, and only those of this moment', async () => {
    const metrics = new Metrics({ process: false })
    let residents = [
      { name: 'a@v1', rank: 8, isKept: true },
      { name: 'b@v2', rank: 16, isKept: false },
    ]
    metrics.observe(metricSources({ residents: () => residents }))
    const loaded = async (): Promise<string[]> => (await metrics.render()).match(/^vllm:.*loaded.*$/gm) ?? []
    expect(await loaded()).toEqual([
      'vllm:lora_adapter_loaded{adapter_name="a@v1",level="device",pinned="true",rank="8"} 1',
      'vllm:lora_adapter_loaded{adapter_name="b@v2",level="device",pinned="false",rank="16"} 1',
      'vllm:num_gpu_loaded_lora_adapters 2',
    ])
    residents = Array.from({ length: 600 }, (_, n) => ({ name: `c@v${n + 1}`, rank: 8, isKept: false }))
    const lines = await loaded()
    expect(lines).toHaveLength(513)
    expect(lines.at(-1)).toBe('vllm:num_gpu_loaded_lora_adapters 600')
    expect(lines.join()).not.toContain('a@v1')
  })

  it('can be left out', async () => {
    const metrics = new Metrics({ process: false, vllm: false })
    metrics.observe(metricSources())
    expect(metrics.adapterUse('a')).toBe(null)
    expect(await metrics.render()).not.toContain('vllm:')
  })
})
