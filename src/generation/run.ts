import { TroupeError } from '../core/errors.ts'
import type { GenerationEvent, GenerationRequest, TokenLogprob } from '../core/generation.ts'
import type { Lease } from '../catalogue/records.ts'
import type { Pass } from '../tenancy/admission.ts'
import { merge } from './merge.ts'
import type { Source } from './merge.ts'
import type { GenerationPlan, PlannedPrompt } from './plan.ts'
import type { GenerationParts } from './ports.ts'
import { ReaderGoneError } from './reader-gone.ts'
import type { ShadowRuns } from './shadow/shadow-runs.ts'
import { sequenceCount } from './plan.ts'
import { provenanceOf } from './provenance.ts'
import type { Provenance, Usage } from './provenance.ts'
import { readSequence } from './sequence.ts'
import type { SequenceEvent, TextToken } from './sequence.ts'
import { AnswerRecorder } from './shadow/answer-recorder.ts'
import { Tally } from './tally.ts'

/** What is known once the last sequence has ended. */
export interface RunEnd {
  readonly usage: Usage
  readonly provenance: Provenance
}

/** What happens to choice `index` (= prompt × n + repetition) of a request. */
export type RunEvent =
  | { readonly type: 'prompt'; readonly index: number; readonly logprobs: readonly (TokenLogprob | null)[] }
  | { readonly type: 'text'; readonly index: number; readonly text: string; readonly tokens: readonly TextToken[] }
  /** `end` is set on the last event of a request. */
  | { readonly type: 'finish'; readonly index: number; readonly reason: 'stop' | 'length'; readonly end: RunEnd | null }

/** What a run needs. */
export interface RunParts extends GenerationParts {
  readonly shadows: ShadowRuns
}

/**
 * Runs a plan: quota and place in the queue, lease, engine, text. A request that is not let in is refused at once. Everything taken is
 * given back when the generator ends, however it ends: read to the end, left early, aborted or failed. So its reader has to begin.
 *
 * @throws TroupeError `rate_limit_exceeded`, `overloaded`
 */
export function startGeneration(
  deps: RunParts,
  plan: GenerationPlan,
  signal: AbortSignal,
): AsyncGenerator<RunEvent, void, void> {
  const pass = enter(deps, plan.caller.tenant, sequenceCount(plan))
  return runGeneration(deps, plan, pass, signal)
}

/** The same with a pass that was taken already. */
export async function* runGeneration(
  deps: RunParts,
  plan: GenerationPlan,
  pass: Pass,
  signal: AbortSignal,
): AsyncGenerator<RunEvent, void, void> {
  const claim = deps.residency.claim(plan.resolution)
  const tally = new Tally(plan, deps.metrics)
  const recorder = plan.resolution.shadow ? new AnswerRecorder() : null
  let lease: Lease | null = null
  let status: 'ok' | 'cancelled' | 'error' = 'cancelled'
  let failure: unknown = null
  try {
    if (pass.waits) deps.residency.prefetch(plan.resolution)
    const either = AbortSignal.any([signal, claim.signal, pass.signal])
    await pass.turn(0, either)
    lease = await claim.acquire()
    let open = sequenceCount(plan)
    for await (const { index, event } of merge(sources(deps, plan, pass, tally), either)) {
      if (event.type === 'started') tally.started(event.queueMs)
      else if (event.type === 'reused') tally.reused(event.tokens)
      else if (event.type === 'finish') {
        open -= 1
        if (open === 0) status = 'ok'
        yield { ...event, index, end: open === 0 ? endOf(deps, tally, pass, lease) : null }
      } else {
        if (event.type === 'text' && index === 0) recorder?.add(event)
        yield { ...event, index }
      }
    }
  } catch (error) {
    if (!(error instanceof ReaderGoneError)) {
      status = 'error'
      failure = error
    }
    throw error
  } finally {
    claim.release()
    const queueMs = pass.queueMs + (lease?.waitMs ?? 0) + tally.engineQueueMs
    pass.leave()
    tally.ended(deps.log, status, failure, queueMs, lease?.loadMs ?? 0, deps.settings.logPrompts)
    if (recorder && status === 'ok') deps.shadows.offer(plan, recorder.answer)
  }
}

/** Takes the sequences of a request into the queue, and counts a refusal. @throws TroupeError as `Admission.enter` */
export function enter(deps: Pick<RunParts, 'admission' | 'metrics'>, tenant: string, sequences: number): Pass {
  try {
    return deps.admission.enter(tenant, sequences)
  } catch (error) {
    if (error instanceof TroupeError) deps.metrics.refused(error.code)
    throw error
  }
}

/** One source per sequence: reads what its prompt's sequences were begun with, then gives its place back. */
function sources(
  deps: RunParts,
  plan: GenerationPlan,
  pass: Pass,
  tally: Tally,
): Source<{ index: number; event: SequenceEvent }>[] {
  const text = deps.text.of(plan.resolution.adapters)
  return plan.prompts.flatMap((prompt, p) => {
    const first = p * plan.n
    let begun: Promise<readonly AsyncIterable<GenerationEvent>[]> | null = null
    /** All sequences of a prompt begin at the turn of the first, so that they share it. */
    const begin = async (signal: AbortSignal): Promise<readonly AsyncIterable<GenerationEvent>[]> => {
      await pass.turn(first, signal)
      return deps.engine.generateEach(requestOf(plan, prompt, first, pass.weight), plan.n, signal)
    }
    return Array.from({ length: plan.n }, (_, repetition) => {
      const index = first + repetition
      return async function* (signal: AbortSignal) {
        try {
          const events = (await (begun ??= begin(signal)))[repetition]!
          for await (const event of readSequence(events, text, plan, signal, tally.tokenCounter()))
            yield { index, event }
        } finally {
          pass.done(index)
        }
      }
    })
  })
}

/** What the engine is asked for a prompt. @param index of its first sequence in the request */
function requestOf(plan: GenerationPlan, prompt: PlannedPrompt, index: number, weight: number): GenerationRequest {
  return {
    tokens: prompt.tokens,
    mix: plan.resolution.adapters.map(({ digest, scale }) => ({ digest, scale })),
    stack: plan.resolution.stack,
    sampling: { ...plan.sampling, seed: plan.sampling.seed + index },
    maxTokens: prompt.maxTokens,
    stopTokens: plan.stopTokens,
    ...(plan.constraint && { constraint: plan.constraint }),
    logprobs: plan.logprobs,
    promptLogprobs: plan.promptLogprobs,
    tenant: plan.caller.tenant,
    weight,
    ...(plan.background && { background: true }),
  }
}

function endOf(deps: RunParts, tally: Tally, pass: Pass, lease: Lease): RunEnd {
  const queueMs = pass.queueMs + lease.waitMs + tally.engineQueueMs
  return {
    usage: tally.usage,
    provenance: provenanceOf(deps.engine.info, lease, queueMs),
  }
}
