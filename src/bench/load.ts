import { messageOf } from '../core/errors.ts'
import type { StreamedCompletion, Target } from './completion-stream.ts'
import { streamCompletion } from './completion-stream.ts'

/** A length in tokens: all from `least` to `most` are equally likely. */
export interface LengthRange {
  readonly least: number
  readonly most: number
}

export interface LoadPlan {
  readonly requests: number
  readonly concurrency: number
  /** The model of the next request. */
  readonly nextModel: () => string
  readonly nextPrompt: (length: number) => string | readonly number[]
  readonly promptTokens: LengthRange
  readonly maxTokens: LengthRange
  /** Values from 0 to below 1. */
  readonly random: () => number
}

/** What came of one request. */
export type Outcome =
  | { readonly ok: true; readonly model: string; readonly completion: StreamedCompletion }
  | { readonly ok: false; readonly model: string; readonly reason: string }

export interface LoadResult {
  readonly outcomes: readonly Outcome[]
  readonly seconds: number
}

/** Sends all requests from `concurrency` clients, each sending its next one as soon as its last has ended. Failures are outcomes. */
export async function runLoad(
  target: Target,
  plan: LoadPlan,
  onEnd: (done: number, failed: number) => void = () => undefined,
): Promise<LoadResult> {
  const outcomes: Outcome[] = []
  let sent = 0
  let failed = 0
  const client = async (): Promise<void> => {
    while (sent < plan.requests) {
      sent++
      const outcome = await send(target, plan)
      outcomes.push(outcome)
      if (!outcome.ok) failed++
      onEnd(outcomes.length, failed)
    }
  }
  const from = performance.now()
  await Promise.all(Array.from({ length: Math.min(plan.concurrency, plan.requests) }, client))
  return { outcomes, seconds: (performance.now() - from) / 1000 }
}

async function send(target: Target, plan: LoadPlan): Promise<Outcome> {
  const model = plan.nextModel()
  const prompt = plan.nextPrompt(draw(plan.promptTokens, plan.random))
  const body = { model, prompt, max_tokens: draw(plan.maxTokens, plan.random), temperature: 0, ignore_eos: true }
  try {
    return { ok: true, model, completion: await streamCompletion(target, body) }
  } catch (error) {
    return { ok: false, model, reason: messageOf(error) }
  }
}

function draw({ least, most }: LengthRange, random: () => number): number {
  return least + Math.floor(random() * (most - least + 1))
}
