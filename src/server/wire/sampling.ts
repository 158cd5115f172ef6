import { Type } from 'typebox'
import type { Static, TObject } from 'typebox'
import type { SamplingWish } from '../../generation/sampling.ts'
import type { MixWish } from '../../generation/target.ts'
import { Maybe, Name, Strict, VersionRef } from './common.ts'

/** One member of a mix as clients write it. */
export const AdapterRef = Strict(
  {
    name: Name,
    version: Type.Optional(VersionRef),
    scale: Type.Optional(Type.Number({ description: 'Factor on the adapter’s own scale; default 1.' })),
  },
  { title: 'AdapterRef' },
)

/** How the next token is chosen: the same fields with the same names in every generation route. */
export const SamplingFields = {
  temperature: Maybe(Type.Number({ minimum: 0, maximum: 2, description: '0 = greedy.' })),
  top_k: Maybe(Type.Integer({ minimum: -1, description: '0 or -1 = off.' })),
  top_p: Maybe(Type.Number({ exclusiveMinimum: 0, maximum: 1, description: '1 = off.' })),
  min_p: Maybe(Type.Number({ minimum: 0, maximum: 1, description: '0 = off.' })),
  repetition_penalty: Maybe(Type.Number({ exclusiveMinimum: 0, maximum: 10, description: '1 = off.' })),
  presence_penalty: Maybe(Type.Number({ minimum: -2, maximum: 2 })),
  frequency_penalty: Maybe(Type.Number({ minimum: -2, maximum: 2 })),
  seed: Maybe(
    Type.Integer({
      minimum: -(2 ** 52),
      maximum: 2 ** 52,
      description: 'Same seed, same request, same version: same tokens.',
    }),
  ),
  stop: Maybe(
    Type.Union([Type.String({ minLength: 1 }), Type.Array(Type.String({ minLength: 1 }), { maxItems: 16 })], {
      description: 'Texts that end the answer; they are not part of it.',
    }),
  ),
  n: Maybe(Type.Integer({ minimum: 1, maximum: 16, description: 'Answers per prompt.' })),
  logit_bias: Maybe(
    Type.Record(Type.String({ pattern: '^[0-9]+$' }), Type.Number({ minimum: -100, maximum: 100 }), {
      description: 'Added to the logits of single tokens, by token id.',
    }),
  ),
  ignore_eos: Maybe(Type.Boolean({ description: 'Go on after an ending token.' })),
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
    repetitionPenalty: body.repetition_penalty,
    presencePenalty: body.presence_penalty,
    frequencyPenalty: body.frequency_penalty,
    logitBias: body.logit_bias,
    seed: body.seed,
    stop: typeof body.stop === 'string' ? [body.stop] : body.stop,
    maxTokens,
  }
}

/** What is said about the weights. `user` stands in for the sticky key. */
export function mixWish(body: SamplingBody & { readonly user?: string | null }): MixWish {
  return { adapters: body.adapters, stack: body.composition === 'stack', sticky: body.sticky_key ?? body.user }
}
