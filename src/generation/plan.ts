import type { Constraint } from '../core/constraint.ts'
import type { Sampling } from '../core/generation.ts'
import type { Resolution } from '../catalogue/records.ts'
import type { Caller } from '../tenancy/roles.ts'

/** One prompt of a request, ready for the engine. */
export interface PlannedPrompt {
  readonly tokens: Int32Array
  /** The prompt as text when it came as text; null when it came as token ids. */
  readonly text: string | null
  readonly maxTokens: number
}

/** A generation request, checked and pinned: nothing in it changes any more. */
export interface GenerationPlan {
  readonly requestId: string
  readonly caller: Caller
  /** What the client named, for the log: a task or a model. */
  readonly label: { readonly task: string | null; readonly model: string | null }
  readonly resolution: Resolution
  readonly prompts: readonly PlannedPrompt[]
  /** Sequences per prompt. */
  readonly n: number
  /** Sequence `i` of the request runs with `sampling.seed + i`. */
  readonly sampling: Sampling
  readonly stop: readonly string[]
  /** Special tokens that are shown in the answer. */
  readonly shown: readonly number[]
  readonly stopTokens: readonly number[]
  /** What the answers are held to; null = nothing. */
  readonly constraint: Constraint | null
  /** Tokens that end a sequence and are reported with it. */
  readonly endings: readonly number[]
  /** The text that ended a sequence is a part of the answer. */
  readonly stopShown: boolean
  /** Alternatives per token; null = no log-probabilities. */
  readonly logprobs: number | null
  readonly promptLogprobs: boolean
  /** Runs only when the engine has nothing else to do. */
  readonly background?: boolean
  /** `performance.now()` when the request arrived. */
  readonly arrivedAt: number
}

/** Number of sequences a plan runs. */
export function sequenceCount(plan: Pick<GenerationPlan, 'prompts' | 'n'>): number {
  return plan.prompts.length * plan.n
}
