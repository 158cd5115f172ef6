import { randomInt } from 'node:crypto'
import { TroupeError } from '../../core/errors.ts'
import type { Sampling } from '../../core/generation.ts'
import type { TaskDefaults } from '../../registry/records.ts'
import type { SamplingBody } from '../schemas/sampling.ts'

const MAX_RANDOM_SEED = 2 ** 31

/** What a request says about sampling, over what its task presets, over the route's own default temperature. */
export function planSampling(
  body: SamplingBody,
  defaults: TaskDefaults,
  fallbackTemperature: number,
  vocab: number,
): Sampling {
  return {
    temperature: body.temperature ?? defaults.temperature ?? fallbackTemperature,
    topK: Math.max(0, body.top_k ?? defaults.top_k ?? 0),
    topP: body.top_p ?? defaults.top_p ?? 1,
    minP: body.min_p ?? defaults.min_p ?? 0,
    repetitionPenalty: body.repetition_penalty ?? defaults.repetition_penalty ?? 1,
    presencePenalty: body.presence_penalty ?? defaults.presence_penalty ?? 0,
    frequencyPenalty: body.frequency_penalty ?? defaults.frequency_penalty ?? 0,
    logitBias: planLogitBias(body.logit_bias ?? null, vocab),
    seed: body.seed ?? defaults.seed ?? randomInt(MAX_RANDOM_SEED),
  }
}

/** The texts that end a sequence: the request's own, else the task's. */
export function planStops(body: SamplingBody, defaults: TaskDefaults): readonly string[] {
  if (body.stop === null || body.stop === undefined) return defaults.stop ?? []
  return typeof body.stop === 'string' ? [body.stop] : body.stop
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
