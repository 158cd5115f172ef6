import { Type } from 'typebox'
import type { Static } from 'typebox'
import { FinishReasonSchema, ProvenanceSchema, UsageSchema } from '../../wire/answer.ts'
import { Maybe, Strict } from '../../wire/common.ts'
import { SamplingFields } from '../../wire/sampling.ts'

/** Prompts one request may carry. */
const MAX_PROMPTS = 1024
const TokenIds = Type.Array(Type.Integer({ minimum: 0 }), { minItems: 1 })

/** What the OpenAI routes share. */
export const OpenAiFields = {
  model: Type.String({ minLength: 1, description: 'A task, an adapter `name` or `name@v3`, or the base model.' }),
  stream: Maybe(Type.Boolean()),
  stream_options: Maybe(Strict({ include_usage: Maybe(Type.Boolean()) })),
  user: Maybe(Type.String({ description: 'Stands in for `sticky_key`. Tenants are told apart by their keys.' })),
  return_token_ids: Maybe(Type.Boolean({ description: 'Also report the ids of prompt and answer.' })),
}

export const CompletionBody = Strict(
  {
    ...OpenAiFields,
    prompt: Type.Union([
      Type.String(),
      Type.Array(Type.String(), { minItems: 1, maxItems: MAX_PROMPTS }),
      TokenIds,
      Type.Array(TokenIds, { minItems: 1, maxItems: MAX_PROMPTS }),
    ]),
    max_tokens: Maybe(Type.Integer({ minimum: 0, description: 'Default: the task’s, else 16. 0 only with `echo`.' })),
    echo: Maybe(Type.Boolean({ description: 'Put the prompt before the answer, with its log-probabilities.' })),
    logprobs: Maybe(Type.Integer({ minimum: 0, maximum: 20 })),
    best_of: Maybe(Type.Integer({ minimum: 1, description: 'Only equal to `n`.' })),
    add_special_tokens: Maybe(Type.Boolean({ description: 'Let the tokenizer add its own tokens; default true.' })),
    ...SamplingFields,
  },
  { title: 'CompletionRequest' },
)
export type CompletionRequest = Static<typeof CompletionBody>

const LegacyLogprobs = Strict({
  tokens: Type.Array(Type.String()),
  token_logprobs: Type.Array(Type.Union([Type.Number(), Type.Null()])),
  top_logprobs: Type.Array(Type.Union([Type.Record(Type.String(), Type.Number()), Type.Null()])),
  text_offset: Type.Array(Type.Integer()),
})
export type LegacyLogprobsBody = Static<typeof LegacyLogprobs>

export const CompletionAnswer = Strict(
  {
    id: Type.String(),
    object: Type.Literal('text_completion'),
    created: Type.Integer(),
    model: Type.String(),
    choices: Type.Array(
      Strict({
        index: Type.Integer(),
        text: Type.String(),
        logprobs: Type.Union([LegacyLogprobs, Type.Null()]),
        finish_reason: FinishReasonSchema,
        token_ids: Type.Optional(Type.Array(Type.Integer())),
        prompt_token_ids: Type.Optional(Type.Array(Type.Integer())),
      }),
    ),
    usage: UsageSchema,
    provenance: ProvenanceSchema,
  },
  { title: 'CompletionAnswer' },
)
export type CompletionAnswerBody = Static<typeof CompletionAnswer>
