import { setTimeout as sleep } from 'node:timers/promises'
import { TroupeError } from '../../core/errors.ts'
import type { ResolvedAdapter } from '../../catalogue/records.ts'
import type { GenerationParts } from '../ports.ts'
import type { GenerationPlan } from '../plan.ts'
import { readSequence } from '../sequence.ts'
import type { Comparison, RecordedAnswer } from './answer-recorder.ts'
import { AnswerRecorder, compareAnswers } from './answer-recorder.ts'
import type { ShadowCounts, ShadowResult } from './shadow-counters.ts'
import { ShadowCounters } from './shadow-counters.ts'

/** Shadow requests that may wait for a quiet moment; more are dropped. */
const MAX_WAITING = 16
const MAX_WAIT_MS = 10_000
const POLL_MS = 10

type ShadowParts = Omit<GenerationParts, 'settings'>

interface ShadowJob {
  readonly task: string
  readonly shadow: ResolvedAdapter
  readonly plan: GenerationPlan
  readonly answer: RecordedAnswer
}

/** The run gave way to a request, or no moment for it came. */
class GaveWay extends Error {}

/**
 * Runs answered requests again with the shadow version of their task and compares. One at a time, only while the engine has a free
 * place, given up as soon as it has none: no request is answered by it, waits for it or fails with it.
 */
export class ShadowRuns {
  readonly #deps: ShadowParts
  readonly #counters = new ShadowCounters()
  readonly #waiting: ShadowJob[] = []
  readonly #stopping = new AbortController()
  #running: Promise<void> | null = null

  constructor(deps: ShadowParts) {
    this.#deps = deps
  }

  /** Takes a request that was answered; the first sequence of its first prompt is run again, later. */
  offer(plan: GenerationPlan, answer: RecordedAnswer): void {
    const { task, shadow } = plan.resolution
    if (!task || !shadow || this.#stopping.signal.aborted) return
    const job = { task: task.name, shadow, plan, answer }
    if (this.#waiting.length >= MAX_WAITING) {
      this.#ended(job, 'dropped', null)
      return
    }
    this.#waiting.push(job)
    this.#running ??= this.#runAll().finally(() => (this.#running = null))
  }

  /** What was found so far, of a task and a version's digest. */
  counts(task: string, digest: string): ShadowCounts {
    return this.#counters.of(task, digest)
  }

  /** Gives up what runs and waits. */
  async stop(): Promise<void> {
    this.#waiting.length = 0
    this.#stopping.abort(new GaveWay('the server is stopping'))
    await this.#running
  }

  async #runAll(): Promise<void> {
    for (let job = this.#waiting.shift(); job; job = this.#waiting.shift()) {
      try {
        const comparison = compareAnswers(job.answer, await this.#run(job))
        this.#ended(job, comparison.equal ? 'equal' : 'different', comparison)
      } catch (error) {
        const dropped = error instanceof GaveWay || (error instanceof TroupeError && error.code === 'overloaded')
        this.#ended(job, dropped ? 'dropped' : 'failed', null)
        const { adapter, version } = job.shadow
        if (!dropped) this.#deps.log.warn({ err: error, task: job.task, adapter, version }, 'a shadow run failed')
      }
    }
  }

  async #run({ plan, shadow }: ShadowJob): Promise<RecordedAnswer> {
    const { engine, residency, text } = this.#deps
    await this.#quietMoment()
    const [prompt] = plan.prompts
    if (!prompt) throw new GaveWay('there is nothing to run')
    const lease = await residency.acquire({ task: null, adapters: [shadow], stack: false, shadow: null }, false)
    const giveWay = new AbortController()
    const watch = setInterval(() => {
      if (!this.#deps.admission.hasFreePlace) giveWay.abort(new GaveWay('a request needs the place'))
    }, POLL_MS)
    try {
      const signal = AbortSignal.any([this.#stopping.signal, lease.signal, giveWay.signal])
      const request = {
        tokens: prompt.tokens,
        mix: [{ digest: shadow.digest, scale: 1 }],
        sampling: plan.sampling,
        maxTokens: prompt.maxTokens,
        stopTokens: plan.stopTokens,
        logprobs: null,
        promptLogprobs: false,
        tenant: plan.caller.tenant,
        background: true,
      }
      const recorder = new AnswerRecorder()
      const events = engine.generate(request, signal)
      for await (const event of readSequence(events, text.of([shadow]), plan, signal, () => undefined)) {
        if (event.type === 'text') recorder.add(event)
      }
      return recorder.answer
    } finally {
      clearInterval(watch)
      lease.release()
    }
  }

  async #quietMoment(): Promise<void> {
    const { signal } = this.#stopping
    for (let waited = 0; !this.#deps.admission.hasFreePlace; waited += POLL_MS) {
      if (waited >= MAX_WAIT_MS) throw new GaveWay('the engine was busy all the time')
      await sleep(POLL_MS, undefined, { signal }).catch(() => undefined)
      signal.throwIfAborted()
    }
  }

  #ended(job: ShadowJob, result: ShadowResult, comparison: Comparison | null): void {
    this.#counters.count(job.task, job.shadow.digest, result, comparison)
    this.#deps.metrics.shadowEnded(job.task, result, comparison?.tokens ?? 0, comparison?.agreed ?? 0)
  }
}
