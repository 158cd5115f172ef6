import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client'
import type { EngineStats } from '../core/messages.ts'
import { BoundedLabels } from './bounded-labels.ts'
import { ENGINE_METRICS } from './engine-metrics.ts'
import { counter, gauge } from './read-metric.ts'
import type { QueueNumbers } from './queue-metrics.ts'
import { QUEUE_METRICS } from './queue-metrics.ts'
import type { ReadMetric } from './read-metric.ts'
import { STORE_METRICS } from './store-metrics.ts'
import type { StoreNumbers } from './store-metrics.ts'
import { VllmMetrics } from './vllm-metrics.ts'
import type { AdapterUse, ResidentAdapter } from './vllm-metrics.ts'

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

/** Compilation of schemas and grammars; counters. */
export interface GrammarNumbers {
  readonly compiled: number
  readonly hits: number
  readonly refused: number
  readonly seconds: number
}

/** The look at the prepared weights after the start. */
export interface WeightsNumbers {
  readonly checkedBytes: number
  readonly damagedTensors: number
}

const WEIGHTS_METRICS: readonly ReadMetric<WeightsNumbers>[] = [
  gauge('weights_checked_bytes', 'Bytes of the prepared weights compared with their digests.', (s) => s.checkedBytes),
  gauge('weights_damaged_tensors', 'Prepared tensors that have changed on disk.', (s) => s.damagedTensors),
]

const GRAMMAR_METRICS: readonly ReadMetric<GrammarNumbers>[] = [
  counter('grammars_compiled_total', 'Schemas and grammars compiled.', (s) => s.compiled),
  counter('grammar_cache_hits_total', 'Schemas and grammars that were compiled already.', (s) => s.hits),
  counter('grammars_refused_total', 'Schemas and grammars refused.', (s) => s.refused),
  counter('grammar_compile_seconds_total', 'Seconds spent on compiling.', (s) => s.seconds),
]

/** Where the numbers come from that are read when somebody asks, not counted as they happen. */
export interface MetricSources {
  /** Rejects when the engine does not answer. */
  engine(): Promise<EngineStats>
  tiers(): readonly TierNumbers[]
  store(): StoreNumbers
  grammars(): GrammarNumbers
  weights(): WeightsNumbers
  /** Adapter versions in memory; first what would be evicted. */
  residents(): readonly ResidentAdapter[]
  queue(): QueueNumbers
}

/** What one generation request was, told once when it ended. */
export interface GenerationReport {
  /** The task, or null when the request named a model. */
  readonly task: string | null
  readonly tenant: string
  readonly status: 'ok' | 'cancelled' | 'error'
  readonly promptTokens: number
  readonly completionTokens: number
  readonly queueSeconds: number
  readonly adapters: readonly { readonly adapter: string; readonly version: number }[]
}

const PREFIX = 'troupe_'
/** Gauges of the library that end like counters: `promtool check metrics` objects. Each is the sum of another gauge. */
const MISNAMED = ['nodejs_active_handles_total', 'nodejs_active_requests_total', 'nodejs_active_resources_total']
const SECONDS_LONG = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120]
const SECONDS_SHORT = [0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5]

/** All metrics of the process. The only place that knows prom-client. */
export class Metrics {
  readonly #registry = new Registry()
  readonly #tasks = new BoundedLabels()
  readonly #tenants = new BoundedLabels()
  readonly #versions = new BoundedLabels()
  readonly #beforeRender: (() => void)[] = []
  #refresh: () => Promise<void> = async () => {}

  readonly #httpRequests = this.#counter('http_requests_total', 'HTTP requests answered.', [
    'method',
    'route',
    'status',
  ])
  readonly #httpSeconds = this.#histogram(
    'http_request_duration_seconds',
    'Time from the request line to the end of the answer.',
    SECONDS_LONG,
    ['method', 'route'],
  )
  readonly #generations = this.#counter('generations_total', 'Generation requests ended.', ['task', 'status'])
  readonly #firstToken = this.#histogram(
    'time_to_first_token_seconds',
    'Time from the arrival of a request to the first token of each of its sequences.',
    SECONDS_LONG,
  )
  readonly #interToken = this.#histogram('inter_token_seconds', 'Time between two tokens of a sequence.', SECONDS_SHORT)
  readonly #queueSeconds = this.#histogram(
    'queue_seconds',
    'Time until the first sequence of a request ran.',
    SECONDS_LONG,
  )
  readonly #promptTokens = this.#counter('prompt_tokens_total', 'Prompt tokens of ended requests.', ['tenant'])
  readonly #completionTokens = this.#counter('completion_tokens_total', 'Tokens generated.', ['tenant'])
  readonly #tenantRequests = this.#counter('tenant_requests_total', 'Generation requests ended.', ['tenant', 'status'])
  readonly #refused = this.#counter('requests_refused_total', 'Requests refused by quota or full queue.', ['code'])
  readonly #adapterRequests = this.#counter('adapter_requests_total', 'Requests that ran with an adapter version.', [
    'adapter',
    'version',
  ])
  readonly #uploads = this.#counter('adapter_uploads_total', 'Uploads of adapter versions.', ['result'])

  readonly #failedLogins = this.#counter(
    'failed_logins_total',
    'Requests whose key or token was missing, unknown, expired or revoked, by the code of the answer.',
    ['reason'],
  )
  readonly #refusedConnections = this.#counter(
    'connections_refused_total',
    'Connections refused because too many were open, in all or from one address.',
    ['reason'],
  )
  readonly #cutConnections = this.#counter(
    'connections_cut_total',
    'Connections ended because the body did not arrive, the answer was not read or too many requests were pipelined.',
    ['reason'],
  )

  readonly #evaluations = this.#counter('evaluations_total', 'Evaluations that ended here, by how.', ['status'])
  readonly #shadowRuns = this.#counter('shadow_runs_total', 'Requests of a task’s shadow, by how they compared.', [
    'task',
    'result',
  ])
  readonly #shadowTokens = this.#counter('shadow_tokens_total', 'Tokens compared with a shadow’s.', ['task'])
  readonly #shadowAgreed = this.#counter('shadow_agreed_tokens_total', 'Tokens before the first that differed.', [
    'task',
  ])

  readonly #vllm: VllmMetrics | null

  /** `process: false` leaves the figures of the process itself out, `vllm: false` those under vLLM's names. */
  constructor(options: { readonly process?: boolean; readonly vllm?: boolean } = {}) {
    if (options.process ?? true) {
      collectDefaultMetrics({ register: this.#registry, prefix: PREFIX })
      for (const name of MISNAMED) this.#registry.removeSingleMetric(PREFIX + name)
    }
    this.#vllm = (options.vllm ?? true) ? new VllmMetrics(this.#registry) : null
  }

  /** Names the sources of the figures that are read at scrape time. To be called once. */
  observe(sources: MetricSources): void {
    const up = this.#gauge('engine_up', '1 while the engine thread answers.')
    const setEngine = this.#readMetrics(ENGINE_METRICS)
    const setGrammars = this.#readMetrics(GRAMMAR_METRICS)
    const setStore = this.#readMetrics(STORE_METRICS)
    const setWeights = this.#readMetrics(WEIGHTS_METRICS)
    const setQueue = this.#readMetrics(QUEUE_METRICS)
    const setTier = this.#tierGauges()

    this.#refresh = async () => {
      const queue = sources.queue()
      setQueue(queue)
      for (const tier of sources.tiers()) setTier(tier)
      setGrammars(sources.grammars())
      setStore(sources.store())
      setWeights(sources.weights())
      const stats = await sources.engine().catch(() => null)
      up.set(stats ? 1 : 0)
      if (!stats) return
      setEngine(stats)
      this.#vllm?.set(stats, queue.waiting)
      this.#vllm?.setResidents(sources.residents())
    }
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  /** All metrics in Prometheus' text format. */
  async render(): Promise<string> {
    for (const read of this.#beforeRender) read()
    await this.#refresh()
    return this.#registry.metrics()
  }

  httpAnswered(method: string, route: string, status: number, seconds: number): void {
    this.#httpRequests.inc({ method, route, status: String(status) })
    this.#httpSeconds.observe({ method, route }, seconds)
  }

  /** Counts a request for adapters by the name it asked with; null when nobody reads that. */
  adapterUse(name: string): AdapterUse | null {
    return this.#vllm?.use(name) ?? null
  }

  firstToken(seconds: number): void {
    this.#firstToken.observe(seconds)
  }

  nextToken(seconds: number): void {
    this.#interToken.observe(seconds)
  }

  generationEnded(report: GenerationReport): void {
    const tenant = this.#tenants.label(report.tenant)
    this.#generations.inc({ task: report.task === null ? '' : this.#tasks.label(report.task), status: report.status })
    this.#tenantRequests.inc({ tenant, status: report.status })
    this.#promptTokens.inc({ tenant }, report.promptTokens)
    this.#completionTokens.inc({ tenant }, report.completionTokens)
    this.#queueSeconds.observe(report.queueSeconds)
    for (const { adapter, version } of report.adapters) {
      const known = this.#versions.admits(`${adapter}@v${version}`)
      this.#adapterRequests.inc(known ? { adapter, version: `v${version}` } : { adapter: 'other', version: 'other' })
    }
  }

  /** `tokens` and `agreed` are 0 where nothing was compared. */
  shadowEnded(task: string, result: string, tokens: number, agreed: number): void {
    const label = this.#tasks.label(task)
    this.#shadowRuns.inc({ task: label, result })
    this.#shadowTokens.inc({ task: label }, tokens)
    this.#shadowAgreed.inc({ task: label }, agreed)
  }

  evaluationEnded(status: string): void {
    this.#evaluations.inc({ status })
  }

  refused(code: string): void {
    this.#refused.inc({ code })
  }

  loginFailed(reason: string): void {
    this.#failedLogins.inc({ reason })
  }

  connectionRefused(reason: string): void {
    this.#refusedConnections.inc({ reason })
  }

  connectionCut(reason: string): void {
    this.#cutConnections.inc({ reason })
  }

  /** Names the source of the number of open connections. To be called once. */
  observeConnections(open: () => number): void {
    const gauge = this.#gauge('connections', 'Connections open now.')
    this.#beforeRender.push(() => gauge.set(open()))
  }

  /** `result`: `created`, `known`, or the code of the error. */
  uploadEnded(result: string): void {
    this.#uploads.inc({ result })
  }

  #readMetrics<T>(metrics: readonly ReadMetric<T>[]): (source: T) => void {
    const targets = metrics.map(({ kind, name, help, read }) => {
      const target = kind === 'gauge' ? this.#gauge(name, help) : this.#counter(name, help)
      return { target, read }
    })
    return (source) => {
      for (const { target, read } of targets) assign(target, read(source))
    }
  }

  #tierGauges(): (tier: TierNumbers) => void {
    const bytes = this.#gauge('tier_bytes', 'Bytes of adapter weights in a tier.', ['tier'])
    const budget = this.#gauge('tier_budget_bytes', 'Byte limit of a tier.', ['tier'])
    const versions = this.#gauge('tier_versions', 'Adapter versions in a tier.', ['tier'])
    const hits = this.#counter('tier_hits_total', 'Requests that found their version in a tier.', ['tier'])
    const loads = this.#counter('tier_loads_total', 'Versions brought into a tier.', ['tier'])
    const evictions = this.#counter('tier_evictions_total', 'Versions pushed out of a tier.', ['tier'])
    const failed = this.#counter('tier_failed_loads_total', 'Loads into a tier that failed.', ['tier'])
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

  #counter<L extends string = never>(name: string, help: string, labelNames: readonly L[] = []): Counter<L> {
    return new Counter({ name: PREFIX + name, help, labelNames: [...labelNames], registers: [this.#registry] })
  }

  #gauge<L extends string = never>(name: string, help: string, labelNames: readonly L[] = []): Gauge<L> {
    return new Gauge({ name: PREFIX + name, help, labelNames: [...labelNames], registers: [this.#registry] })
  }

  #histogram<L extends string = never>(
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
      registers: [this.#registry],
    })
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
