import type { Constraint } from '../core/constraint.ts'
import type { Caller } from '../tenancy/roles.ts'
import type { Resolution } from '../catalogue/records.ts'
import { planLength } from './length.ts'
import type { GenerationPlan } from './plan.ts'
import type { GenerationParts } from './ports.ts'
import type { EncodedPrompt } from './prompts.ts'
import type { SamplingWish } from './sampling.ts'
import { firstWish, planSampling, taskWish } from './sampling.ts'
import { vocabularyOf } from './target.ts'

/** Who asks, under which id and since when. */
export interface Asker {
  readonly id: string
  readonly caller: Caller
  /** `performance.now()` when the request arrived. */
  readonly arrivedAt: number
}

/** What the APIs have worked out themselves before the common part of planning. */
export interface PlanParts {
  readonly label: GenerationPlan['label']
  readonly resolution: Resolution
  readonly prompts: readonly EncodedPrompt[]
  /** What the request says; `maxTokens` is kept as it is and refused where it does not fit. */
  readonly wish: SamplingWish
  /** What holds where neither request nor task say anything, the most important first; without `maxTokens` all that fits. */
  readonly fallbacks: readonly SamplingWish[]
  /** Sequences per prompt; default 1. */
  readonly n?: number
  /** Go on after an ending token of the model. */
  readonly ignoreEos?: boolean
  /** Tokens that end a sequence besides the model's own. */
  readonly stopTokens?: readonly number[]
  /** The text that ended a sequence is a part of the answer. */
  readonly stopShown?: boolean
  /** The token that ended a sequence is reported with it. */
  readonly everyToken?: boolean
  readonly logprobs: number | null
  readonly promptLogprobs: boolean
  /** What the answers are held to; default nothing. */
  readonly constraint?: Constraint | null
  /** Special tokens to show in the answer; default none. */
  readonly shown?: readonly number[]
}

/** Completes a plan: task defaults, lengths, sampling, stops. Throws `context_length_exceeded` or `invalid_request`. */
export function completePlan(
  { engine, text, settings }: Pick<GenerationParts, 'engine' | 'text' | 'settings'>,
  asker: Asker,
  parts: PlanParts,
): GenerationPlan {
  const { resolution } = parts
  const preset = [taskWish(resolution.task?.defaults ?? {}), ...parts.fallbacks]
  const wishes = [parts.wish, ...preset]
  const endings = [...(parts.ignoreEos ? [] : text.eosIds), ...(parts.stopTokens ?? [])]
  return {
    requestId: asker.id,
    caller: asker.caller,
    arrivedAt: asker.arrivedAt,
    label: parts.label,
    resolution,
    prompts: parts.prompts.map((prompt) => ({
      ...prompt,
      maxTokens: planLength(
        prompt.tokens.length,
        parts.wish.maxTokens ?? null,
        firstWish(preset, 'maxTokens'),
        settings.maxContext,
        resolution.adapters.reduce((sum, { virtualTokens }) => sum + virtualTokens, 0),
      ),
    })),
    n: parts.n ?? 1,
    sampling: planSampling(wishes, vocabularyOf(engine.info, resolution)),
    stop: firstWish(wishes, 'stop') ?? [],
    shown: parts.shown ?? [],
    stopShown: parts.stopShown ?? false,
    ...(parts.everyToken ? { stopTokens: [], endings } : { stopTokens: endings, endings: [] }),
    constraint: parts.constraint ?? null,
    logprobs: parts.logprobs,
    promptLogprobs: parts.promptLogprobs,
  }
}
