import { Type } from 'typebox'
import type { Static } from 'typebox'
import type { TaskRecord } from '../catalogue/task.ts'
import type { Constraint } from '../core/constraint.ts'
import { constrain, responseForm } from '../generation/answer-form.ts'
import { collect } from '../generation/collect.ts'
import { continuationLogprobs, likelihoodPlan } from '../generation/likelihood.ts'
import { resolutionOf } from '../generation/mixes.ts'
import type { GenerationPlan } from '../generation/plan.ts'
import { completePlan } from '../generation/planning.ts'
import { startGeneration } from '../generation/run.ts'
import type { RunParts } from '../generation/run.ts'
import { taskWish } from '../generation/sampling.ts'
import { encodeInput } from '../generation/task-input.ts'
import { ofMix } from '../generation/target.ts'
import { EVERYONE } from '../tenancy/roles.ts'
import type { EvaluationSpec, Metric } from './record.ts'
import type { Item } from './set.ts'

/** What one mix made of one item; scores are computed from it. */
export const ItemAnswerSchema = Type.Object({
  mix: Type.Integer(),
  item: Type.Integer(),
  /** Null = only likelihoods were asked for, or it failed. */
  text: Type.Union([Type.String(), Type.Null()]),
  tokens: Type.Integer(),
  /** From the first token to the last. */
  seconds: Type.Number(),
  /** Of the expected answer, in nats. */
  likelihood: Type.Union([Type.Object({ sum: Type.Number(), tokens: Type.Integer() }), Type.Null()]),
  /** Index of the likeliest of the item's choices. */
  choice: Type.Union([Type.Integer(), Type.Null()]),
  /** Why there is no answer. */
  error: Type.Union([Type.String(), Type.Null()]),
})
export type ItemAnswer = Readonly<Static<typeof ItemAnswerSchema>>

const FROM_LIKELIHOODS: readonly Metric[] = ['perplexity', 'choice']
/** As for tasks. */
const DEFAULTS = { temperature: 0, maxTokens: 256 }
/** A token that a mix excludes altogether is this unlikely. */
const LEAST_LOGPROB = -1e4

/** What is the same for all items of an evaluation. */
export interface Preparation {
  readonly spec: EvaluationSpec
  readonly task: TaskRecord | null
  readonly constraint: Constraint | null
}

/** @throws TroupeError for a task whose answers cannot be held to what it presets */
export async function prepare(deps: RunParts, spec: EvaluationSpec): Promise<Preparation> {
  const preset = spec.task?.defaults.response_format
  const form = preset ? responseForm(preset, 'defaults.response_format') : null
  return { spec, task: taskOf(spec), constraint: await constrain(deps, form, spec.tenant) }
}

/** Runs one item with one mix, in the background. @throws TroupeError what planning and running say */
export async function runItem(
  deps: RunParts,
  preparation: Preparation,
  { item, index, mix }: { readonly item: Item; readonly index: number; readonly mix: number },
  signal: AbortSignal,
): Promise<ItemAnswer> {
  const { metrics } = preparation.spec
  const plan = planItem(deps, preparation, item, index, mix)
  const answer = metrics.every((metric) => FROM_LIKELIHOODS.includes(metric))
    ? { text: null, tokens: 0, seconds: 0 }
    : await answerOf(deps, plan, signal)
  const isLikely = metrics.some((metric) => FROM_LIKELIHOODS.includes(metric))
  const likely = isLikely ? await likelihoodsOf(deps, plan, item, signal) : { likelihood: null, choice: null }
  return { mix, item: index, ...answer, ...likely, error: null }
}

function planItem(
  deps: RunParts,
  { spec, task, constraint }: Preparation,
  item: Item,
  index: number,
  mix: number,
): GenerationPlan {
  const caller = { ...EVERYONE, tenant: spec.tenant, role: 'caller' as const }
  const asker = { id: `${spec.id}-${mix}-${index}`, caller, arrivedAt: performance.now() }
  const pinned = spec.mixes[mix]!
  const { input, prompt, messages } = item
  const resolution = resolutionOf(pinned, task)
  const mixed = ofMix(deps, resolution)
  const plan = completePlan(mixed, asker, {
    label: { task: null, model: pinned.label },
    resolution,
    prompts: [encodeInput(mixed.text, task, { input, prompt, messages, template: {} })],
    wish: { ...taskWish(spec.sampling), seed: spec.seed + index },
    fallbacks: [DEFAULTS, deps.modelDefaults],
    constraint,
    logprobs: null,
    promptLogprobs: false,
  })
  return { ...plan, background: true }
}

async function answerOf(
  deps: RunParts,
  plan: GenerationPlan,
  signal: AbortSignal,
): Promise<Pick<ItemAnswer, 'text' | 'tokens' | 'seconds'>> {
  let [text, tokens, first, last] = ['', 0, 0, 0]
  for await (const event of startGeneration(deps, plan, signal)) {
    if (event.type !== 'text') continue
    text += event.text
    last = performance.now()
    if (tokens === 0) first = last
    tokens += event.tokens.length
  }
  return { text, tokens, seconds: (last - first) / 1000 }
}

/** The texts continue the prompt as they are, as tokens of their own. */
async function likelihoodsOf(
  deps: RunParts,
  plan: GenerationPlan,
  { expected, choices = [] }: Item,
  signal: AbortSignal,
): Promise<Pick<ItemAnswer, 'likelihood' | 'choice'>> {
  const texts = [expected, ...choices]
  const tokens = texts.map((text) => deps.text.encode(text, false))
  const outcome = await collect(startGeneration(deps, likelihoodPlan(plan, tokens), signal))
  const sums = outcome.choices.map(({ promptLogprobs }) =>
    continuationLogprobs(plan, promptLogprobs ?? []).reduce((sum, one) => sum + Math.max(one, LEAST_LOGPROB), 0),
  )
  const [sum = 0, ...ofChoices] = sums
  return {
    likelihood: { sum, tokens: tokens[0]?.length ?? 0 },
    choice: ofChoices.length === 0 ? null : ofChoices.indexOf(Math.max(...ofChoices)),
  }
}

/** The task as it was when the evaluation was made. */
function taskOf({ task }: EvaluationSpec): TaskRecord | null {
  if (!task) return null
  const none = { description: '', routes: [], shadow: null, pinned: false, history: [], createdAt: '', updatedAt: '' }
  return { ...none, ...task, revision: 1 }
}
