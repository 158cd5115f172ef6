import { Type } from 'typebox'
import type { Static, TObject } from 'typebox'
import type { PlanParts } from '../../generation/planning.ts'
import type { SamplingWish } from '../../generation/sampling.ts'
import type { MixWish } from '../../generation/target.ts'
import { Maybe, Name, Open, VersionRef } from './common.ts'

/** Answers per prompt. */
const MAX_N = 16
const MAX_STOPS = 64
/** Seeds are kept where they and their successors are exact. */
const SEED_RANGE = 2 ** 52

/** One member of a mix as clients write it. */
export const AdapterRef = Open(
  {
    name: Name,
    version: Maybe(VersionRef),
    scale: Maybe(Type.Number({ description: 'Factor on the adapter’s own scale; default 1.' })),
  },
  { title: 'AdapterRef' },
)

/** How the next token is chosen and where the answer ends. */
export const DrawingFields = {
  temperature: Maybe(Type.Number({ minimum: 0, maximum: 2, description: '0 = greedy.' })),
  top_k: Maybe(Type.Integer({ minimum: -1, description: '0 or -1 = off.' })),
  top_p: Maybe(Type.Number({ minimum: 0, maximum: 1, description: '1 = off.' })),
  min_p: Maybe(Type.Number({ minimum: 0, maximum: 1, description: '0 = off.' })),
  repetition_penalty: Maybe(Type.Number({ exclusiveMinimum: 0, maximum: 10, description: '1 = off.' })),
  repeat_penalty: Maybe(
    Type.Number({ exclusiveMinimum: 0, maximum: 10, description: 'llama.cpp’s name of `repetition_penalty`.' }),
  ),
  presence_penalty: Maybe(Type.Number({ minimum: -2, maximum: 2 })),
  frequency_penalty: Maybe(Type.Number({ minimum: -2, maximum: 2 })),
  seed: Maybe(Type.Integer({ description: 'Same seed, same request, same version: same tokens.' })),
  stop: Maybe(
    Type.Union([Type.String(), Type.Array(Type.String(), { maxItems: MAX_STOPS })], {
      description: 'Texts that end the answer; they are not part of it. Empty ones end nothing.',
    }),
  ),
  stop_token_ids: Maybe(
    Type.Array(Type.Integer({ minimum: 0 }), {
      maxItems: MAX_STOPS,
      description: 'Tokens that end the answer besides the model’s own.',
    }),
  ),
  include_stop_str_in_output: Maybe(Type.Boolean({ description: 'Keep the text of `stop` that was met.' })),
  skip_special_tokens: Maybe(Type.Boolean({ description: 'false = show special tokens in the text.' })),
  logit_bias: Maybe(
    Type.Record(Type.String({ pattern: '^[0-9]+$' }), Type.Number({ minimum: -100, maximum: 100 }), {
      description: 'Added to the logits of single tokens, by token id.',
    }),
  ),
  ignore_eos: Maybe(Type.Boolean({ description: 'Go on after an ending token.' })),
}

/** The same fields with the same names in every generation route. */
export const SamplingFields = {
  ...DrawingFields,
  n: Maybe(Type.Integer({ minimum: 1, maximum: MAX_N, description: 'Answers per prompt.' })),
  sticky_key: Maybe(
    Type.String({
      minLength: 1,
      maxLength: 256,
      description:
        'Requests with the same key take the same of a task’s routes while its weights stay. Default: `user`.',
    }),
  ),
  adapters: Maybe(
    Type.Array(AdapterRef, { maxItems: 16, description: 'The mix to run with, instead of or besides what is named.' }),
  ),
  composition: Maybe(
    Type.Enum(['sum', 'stack'], {
      description:
        'How the bottleneck adapters of a mix meet: all read the same and are added (`sum`, the default), or each reads what the one before it ' +
        'gave (`stack`). Other methods are added in either case.',
    }),
  ),
}

export type SamplingBody = Static<TObject<typeof SamplingFields>>

/** The fields as planning reads them. */
export function samplingWish(body: SamplingBody, maxTokens: number | null | undefined): SamplingWish {
  return {
    temperature: body.temperature,
    topK: body.top_k,
    topP: body.top_p,
    minP: body.min_p,
    repetitionPenalty: body.repetition_penalty ?? body.repeat_penalty,
    presencePenalty: body.presence_penalty,
    frequencyPenalty: body.frequency_penalty,
    logitBias: body.logit_bias,
    seed: typeof body.seed === 'number' ? body.seed % SEED_RANGE : body.seed,
    stop: typeof body.stop === 'string' ? [body.stop] : body.stop,
    // -1 is llama.cpp's way to say: as many as fit.
    maxTokens: maxTokens === -1 ? null : maxTokens,
  }
}

/** What they say about where answers end and what is shown. */
export function answerWish(
  body: SamplingBody,
  specialIds: readonly number[],
): Pick<PlanParts, 'n' | 'ignoreEos' | 'stopTokens' | 'stopShown' | 'shown'> {
  return {
    n: body.n ?? 1,
    ignoreEos: body.ignore_eos ?? false,
    stopTokens: body.stop_token_ids ?? [],
    stopShown: body.include_stop_str_in_output ?? false,
    shown: body.skip_special_tokens === false ? specialIds : [],
  }
}

/** What they say about the weights. `user` stands in for the sticky key. */
export function mixWish(body: SamplingBody & { readonly user?: string | null }): MixWish {
  const adapters = body.adapters?.map(({ name, version, scale }) => ({
    name,
    ...(version === null || version === undefined ? {} : { version }),
    ...(scale === null || scale === undefined ? {} : { scale }),
  }))
  return { adapters, stack: body.composition === 'stack', sticky: body.sticky_key ?? body.user }
}
