import type { Logger } from '../telemetry/log.ts'
import { logGeneration } from '../telemetry/log.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { AdapterUse } from '../telemetry/vllm-metrics.ts'
import { TroupeError } from '../core/errors.ts'
import { versionName } from './target.ts'
import type { GenerationPlan } from './plan.ts'
import { sequenceCount } from './plan.ts'
import type { Usage } from './provenance.ts'

/** What one generation request has used so far; told to metrics and log once, when it ends. */
export class Tally {
  readonly #plan: GenerationPlan
  readonly #metrics: Metrics
  readonly #hot = new Set<string>()
  readonly #use: AdapterUse | null
  #completionTokens = 0
  #cachedTokens = 0
  #engineQueueMs: number | null = null
  #engineLoadMs = 0

  constructor(plan: GenerationPlan, metrics: Metrics) {
    this.#plan = plan
    this.#metrics = metrics
    const { label, resolution } = plan
    this.#use = resolution.adapters.length > 0 ? metrics.adapterUse(label.task ?? label.model ?? '') : null
  }

  /** Counts the tokens of one sequence, with the times between them. */
  tokenCounter(): () => void {
    let last: number | null = null
    return () => {
      const now = performance.now()
      if (last === null) this.#metrics.firstToken((now - this.#plan.arrivedAt) / 1000)
      else this.#metrics.nextToken((now - last) / 1000)
      last = now
      this.#completionTokens += 1
    }
  }

  /** A sequence left the engine's queue. The request's waiting time is that of the first one. */
  started(queueMs: number, loadMs: number, hot: readonly string[]): void {
    if (this.#engineQueueMs === null) for (const digest of hot) this.#hot.add(digest)
    this.#engineQueueMs ??= queueMs
    this.#use?.runs()
    this.#engineLoadMs = Math.max(this.#engineLoadMs, loadMs)
  }

  /** A sequence found so many tokens of its prompt evaluated. */
  reused(tokens: number): void {
    this.#cachedTokens += tokens
  }

  /** Digests that were in the bank when the first sequence started. */
  get hot(): ReadonlySet<string> {
    return this.#hot
  }

  get engineQueueMs(): number {
    return this.#engineQueueMs ?? 0
  }

  get engineLoadMs(): number {
    return this.#engineLoadMs
  }

  get usage(): Usage {
    const promptTokens = this.#plan.prompts.reduce((sum, prompt) => sum + prompt.tokens.length, 0)
    return {
      prompt_tokens: promptTokens,
      completion_tokens: this.#completionTokens,
      total_tokens: promptTokens + this.#completionTokens,
      prompt_tokens_details: { cached_tokens: this.#cachedTokens },
    }
  }

  /** Reports the request's end. `failure` = what it failed with; null with status `cancelled` = its reader left. */
  ended(
    log: Logger,
    status: 'ok' | 'cancelled' | 'error',
    failure: unknown,
    queueMs: number,
    loadMs: number,
    logPrompts: boolean,
  ): void {
    const { label, caller, resolution, prompts, requestId, arrivedAt } = this.#plan
    const usage = this.usage
    this.#use?.ends()
    this.#metrics.generationEnded({
      task: label.task,
      tenant: caller.tenant,
      status,
      promptTokens: usage.prompt_tokens,
      completionTokens: usage.completion_tokens,
      queueSeconds: queueMs / 1000,
      adapters: resolution.adapters,
    })
    logGeneration(log, {
      requestId,
      tenant: caller.tenant,
      task: label.task,
      model: label.model,
      mix: resolution.adapters.map(({ adapter, version, scale }) => `${adapter}@${versionName(version)}*${scale}`),
      sequences: sequenceCount(this.#plan),
      promptTokens: usage.prompt_tokens,
      completionTokens: usage.completion_tokens,
      queueMs: Math.round(queueMs),
      loadMs: Math.round(loadMs),
      totalMs: Math.round(performance.now() - arrivedAt),
      status,
      ...(failure === null ? {} : { code: failure instanceof TroupeError ? failure.code : 'internal' }),
      ...(logPrompts ? { prompts: prompts.map((prompt) => prompt.text ?? [...prompt.tokens].join(' ')) } : {}),
    })
  }
}
