import type { TokenLogprob } from '../core/generation.ts'
import type { GenerationPlan } from './plan.ts'

/**
 * The plan that only evaluates continuations of another plan's first prompt: one sequence each, no answer. Read their
 * log-probabilities with `continuationLogprobs`.
 */
export function likelihoodPlan(plan: GenerationPlan, continuations: readonly (readonly number[])[]): GenerationPlan {
  const given = promptOf(plan)
  return {
    ...plan,
    prompts: continuations.map((tokens) => ({
      tokens: Int32Array.from([...given, ...tokens]),
      text: null,
      maxTokens: 0,
    })),
    ...{ n: 1, constraint: null, logprobs: 0, promptLogprobs: true },
    resolution: { ...plan.resolution, shadow: null },
  }
}

/**
 * Log-probabilities, in nats, of the tokens that follow the plan's first prompt.
 *
 * @param logprobs of prompt and continuation, as a run of `likelihoodPlan` reports them
 */
export function continuationLogprobs(plan: GenerationPlan, logprobs: readonly (TokenLogprob | null)[]): number[] {
  return logprobs.slice(promptOf(plan).length).map((entry) => entry?.logprob ?? 0)
}

function promptOf({ prompts: [first] }: GenerationPlan): Int32Array {
  if (!first) throw new Error('a plan without a prompt has no continuation')
  return first.tokens
}
