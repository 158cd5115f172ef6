import type { FastifyRequest } from 'fastify'
import type { ServerDeps } from '../deps.ts'
import type { Resolution } from '../../registry/records.ts'
import type { SamplingBody } from '../schemas/sampling.ts'
import { planLength } from './length.ts'
import type { GenerationPlan } from './plan.ts'
import type { EncodedPrompt } from './prompts.ts'
import { planSampling, planStops } from './sampling.ts'

/** What the APIs have worked out themselves before the common part of planning. */
export interface PlanParts {
  readonly label: GenerationPlan['label']
  readonly resolution: Resolution
  readonly prompts: readonly EncodedPrompt[]
  /** The fields all APIs share. */
  readonly body: SamplingBody
  /** Null = not given. */
  readonly maxTokens: number | null
  /** What holds where neither request nor task say anything; `maxTokens` null = all that fits. */
  readonly fallback: { readonly temperature: number; readonly maxTokens: number | null }
  readonly logprobs: number | null
  readonly promptLogprobs: boolean
  /** Special tokens to show in the answer; default none. */
  readonly shown?: readonly number[]
}

/** Completes a plan: task defaults, lengths, sampling, stops. Throws `prompt_too_long` or `invalid_request`. */
export function completePlan(deps: ServerDeps, request: FastifyRequest, parts: PlanParts): GenerationPlan {
  const { body, resolution, fallback } = parts
  const defaults = resolution.task?.defaults ?? {}
  return {
    requestId: request.id,
    caller: request.caller,
    arrivedAt: request.arrivedAt,
    label: parts.label,
    resolution,
    prompts: parts.prompts.map((prompt) => ({
      ...prompt,
      maxTokens: planLength(
        prompt.tokens.length,
        parts.maxTokens,
        defaults.max_tokens ?? fallback.maxTokens,
        deps.settings.maxContext,
        resolution.adapters.reduce((sum, { virtualTokens }) => sum + virtualTokens, 0),
      ),
    })),
    n: body.n ?? 1,
    sampling: planSampling(body, defaults, fallback.temperature, deps.engine.info.vocab),
    stop: planStops(body, defaults),
    shown: parts.shown ?? [],
    stopTokens: body.ignore_eos ? [] : deps.text.eosIds,
    logprobs: parts.logprobs,
    promptLogprobs: parts.promptLogprobs,
  }
}
