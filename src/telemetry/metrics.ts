import { collectDefaultMetrics } from 'prom-client'
import type { EngineStats } from '../core/messages.ts'
import { BoundedLabels } from './bounded-labels.ts'
import { ENGINE_METRICS } from './engine-metrics.ts'
import type { GrammarNumbers, QueueNumbers, WeightsNumbers } from './part-metrics.ts'
import { GRAMMAR_METRICS, QUEUE_METRICS, WEIGHTS_METRICS } from './part-metrics.ts'
import type { TierNumbers } from './prefixed-registry.ts'
import { PREFIX, PrefixedRegistry } from './prefixed-registry.ts'
import { STORE_METRICS } from './store-metrics.ts'
import type { StoreNumbers } from './store-metrics.ts'
import { VllmMetrics } from './vllm-metrics.ts'
import type { AdapterUse, ResidentAdapter } from './vllm-metrics.ts'

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

/** Gauges of the library that end like counters: `promtool check metrics` objects. Each is the sum of another gauge. */
const MISNAMED = ['nodejs_active_handles_total', 'nodejs_active_requests_total', 'nodejs_active_resources_total']
const SECONDS_LONG = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120]
const SECONDS_SHORT = [0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5]

/** All metrics of the process. */
export class Metrics {
  readonly #metrics = new PrefixedRegistry()
  readonly #tasks = new BoundedLabels()
  readonly #tenants = new BoundedLabels()
  readonly #versions = new BoundedLabels()
  readonly #beforeRender: (() => void)[] = []
  #refresh: () => Promise<void> = async () => {}

  readonly #httpRequests = this.#metrics.counter('http_requests_total', 'HTTP requests answered.', [
    'method',
    'route',
    'status',
  ])
  readonly #httpSeconds = this.#metrics.histogram(
    'http_request_duration_seconds',
    'Time from the request line to the end of the answer.',
    SECONDS_LONG,
    ['method', 'route'],
  )
  readonly #generations = this.#metrics.counter('generations_total', 'Generation requests ended.', ['task', 'status'])
  readonly #firstToken = this.#metrics.histogram(
    'time_to_first_token_seconds',
    'Time from the arrival of a request to the first token of each of its sequences.',
    SECONDS_LONG,
  )
  readonly #interToken = this.#metrics.histogram(
    'inter_token_seconds',
    'Time between two tokens of a sequence.',
    SECONDS_SHORT,
  )
  readonly #queueSeconds = this.#metrics.histogram(
    'queue_seconds',
    'Time until the first sequence of a request ran.',
    SECONDS_LONG,
  )
  readonly #promptTokens = this.#metrics.counter('prompt_tokens_total', 'Prompt tokens of ended requests.', ['tenant'])
  readonly #completionTokens = this.#metrics.counter('completion_tokens_total', 'Tokens generated.', ['tenant'])
  readonly #tenantRequests = this.#metrics.counter('tenant_requests_total', 'Generation requests ended.', [
    'tenant',
    'status',
  ])
  readonly #refused = this.#metrics.counter('requests_refused_total', 'Requests refused by quota or full queue.', [
    'code',
  ])
  readonly #adapterRequests = this.#metrics.counter(
    'adapter_requests_total',
    'Requests that ran with an adapter version.',
    ['adapter', 'version'],
  )
  readonly #uploads = this.#metrics.counter('adapter_uploads_total', 'Uploads of adapter versions.', ['result'])

  readonly #failedLogins = this.#metrics.counter(
    'failed_logins_total',
    'Requests whose key or token was missing, unknown, expired or revoked, by the code of the answer.',
    ['reason'],
  )
  readonly #refusedConnections = this.#metrics.counter(
    'connections_refused_total',
    'Connections refused because too many were open, in all or from one address.',
    ['reason'],
  )
  readonly #cutConnections = this.#metrics.counter(
    'connections_cut_total',
    'Connections ended because the body did not arrive, the answer was not read or too many requests were pipelined.',
    ['reason'],
  )

  readonly #evaluations = this.#metrics.counter('evaluations_total', 'Evaluations that ended here, by how.', ['status'])
  readonly #shadowRuns = this.#metrics.counter(
    'shadow_runs_total',
    'Requests of a task’s shadow, by how they compared.',
    ['task', 'result'],
  )
  readonly #shadowTokens = this.#metrics.counter('shadow_tokens_total', 'Tokens compared with a shadow’s.', ['task'])
  readonly #shadowAgreed = this.#metrics.counter(
    'shadow_agreed_tokens_total',
    'Tokens before the first that differed.',
    ['task'],
  )

  readonly #vllm: VllmMetrics | null

  /** `process: false` leaves the figures of the process itself out, `vllm: false` those under vLLM's names. */
  constructor(options: { readonly process?: boolean; readonly vllm?: boolean } = {}) {
    if (options.process ?? true) {
      collectDefaultMetrics({ register: this.#metrics.registry, prefix: PREFIX })
      for (const name of MISNAMED) this.#metrics.registry.removeSingleMetric(PREFIX + name)
    }
    this.#vllm = (options.vllm ?? true) ? new VllmMetrics(this.#metrics.registry) : null
  }

  /** Names the sources of the figures that are read at scrape time. To be called once. */
  observe(sources: MetricSources): void {
    const up = this.#metrics.gauge('engine_up', '1 while the engine thread answers.')
    const setEngine = this.#metrics.readMetrics(ENGINE_METRICS)
    const setGrammars = this.#metrics.readMetrics(GRAMMAR_METRICS)
    const setStore = this.#metrics.readMetrics(STORE_METRICS)
    const setWeights = this.#metrics.readMetrics(WEIGHTS_METRICS)
    const setQueue = this.#metrics.readMetrics(QUEUE_METRICS)
    const setTier = this.#metrics.tiers()

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
    return this.#metrics.registry.contentType
  }

  /** All metrics in Prometheus' text format. */
  async render(): Promise<string> {
    for (const read of this.#beforeRender) read()
    await this.#refresh()
    return this.#metrics.registry.metrics()
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
    const gauge = this.#metrics.gauge('connections', 'Connections open now.')
    this.#beforeRender.push(() => gauge.set(open()))
  }

  /** `result`: `created`, `known`, or the code of the error. */
  uploadEnded(result: string): void {
    this.#uploads.inc({ result })
  }
}
