import { randomInt } from 'node:crypto'
import { TroupeError } from '../core/errors.ts'
import type { Sampling } from '../core/generation.ts'
import type { TaskDefaults } from '../catalogue/task.ts'

const MAX_RANDOM_SEED = 2 ** 31
const LEAST_TOP_P = 1e-9

/** What one side says about sampling: a request, its task, the API. What is null or absent, it leaves to the next. */
export interface SamplingWish {
  readonly temperature?: number | null
  readonly topK?: number | null
  readonly topP?: number | null
  readonly minP?: number | null
  readonly repetitionPenalty?: number | null
  readonly presencePenalty?: number | null
  readonly frequencyPenalty?: number | null
  /** By token id. */
  readonly logitBias?: Readonly<Record<string, number>> | null
  readonly seed?: number | null
  /** Texts that end a sequence. */
  readonly stop?: readonly string[] | null
  readonly maxTokens?: number | null
}

/** What a task presets. */
export function taskWish(defaults: TaskDefaults): SamplingWish {
  return {
    temperature: defaults.temperature,
    topK: defaults.top_k,
    topP: defaults.top_p,
    minP: defaults.min_p,
    repetitionPenalty: defaults.repetition_penalty,
    presencePenalty: defaults.presence_penalty,
    frequencyPenalty: defaults.frequency_penalty,
    seed: defaults.seed,
    stop: defaults.stop,
    maxTokens: defaults.max_tokens,
  }
}

/** The first of the wishes that says anything about a field decides it. */
export function firstWish<Field extends keyof SamplingWish>(
  wishes: readonly SamplingWish[],
  field: Field,
): NonNullable<SamplingWish[Field]> | null {
  for (const { [field]: value } of wishes) if (value !== undefined && value !== null) return value
  return null
}

/**
 * @param wishes the most important first
 * @throws TroupeError `invalid_request` for a `logit_bias` outside the vocabulary
 */
export function planSampling(wishes: readonly SamplingWish[], vocab: number): Sampling {
  return {
    temperature: firstWish(wishes, 'temperature') ?? 1,
    topK: Math.max(0, firstWish(wishes, 'topK') ?? 0),
    // 0 means: only the best.
    topP: Math.max(LEAST_TOP_P, firstWish(wishes, 'topP') ?? 1),
    minP: firstWish(wishes, 'minP') ?? 0,
    repetitionPenalty: firstWish(wishes, 'repetitionPenalty') ?? 1,
    presencePenalty: firstWish(wishes, 'presencePenalty') ?? 0,
    frequencyPenalty: firstWish(wishes, 'frequencyPenalty') ?? 0,
    logitBias: planLogitBias(firstWish(wishes, 'logitBias'), vocab),
    seed: firstWish(wishes, 'seed') ?? randomInt(MAX_RANDOM_SEED),
  }
}

function planLogitBias(bias: Readonly<Record<string, number>> | null, vocab: number): Record<number, number> | null {
  if (bias === null) return null
  for (const token of Object.keys(bias))
    if (Number(token) >= vocab)
      throw new TroupeError(
        'invalid_request',
        `\`logit_bias\` names token ${token}, the vocabulary has ids 0 to ${vocab - 1}`,
        { param: 'logit_bias' },
      )
  return Object.fromEntries(Object.entries(bias).map(([token, value]) => [Number(token), value]))
}
