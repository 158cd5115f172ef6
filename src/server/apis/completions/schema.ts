import { Type } from 'typebox'
import type { Static } from 'typebox'
import { StructuredOutputFields } from '../../fields/structured-output.ts'
import { FinishReasonSchema, ProvenanceSchema, UsageSchema } from '../../wire/answer.ts'
import { Maybe, Open, Strict } from '../../wire/common.ts'
import { MAX_TOP_LOGPROBS, OpenAiFields, PromptLogprobs } from '../../wire/openai-fields.ts'
import { EncodingFields, TruncationFields } from '../../wire/prompt-fields.ts'
import { SamplingFields } from '../../wire/sampling.ts'

/** Prompts one request may carry. */
const MAX_PROMPTS = 1024
const TokenIds = Type.Array(Type.Integer({ minimum: 0 }), { minItems: 1 })
const MaxTokens = Type.Integer({
  minimum: -1,
  description:
    'Default: the task’s, else 16. -1 = what fits into the context. 0 only with `echo` or `prompt_logprobs`.',
})

export const CompletionBody = Open(
  {
    ...OpenAiFields,
    prompt: Type.Union([
      Type.String(),
      Type.Array(Type.String(), { minItems: 1, maxItems: MAX_PROMPTS }),
      TokenIds,
      Type.Array(TokenIds, { minItems: 1, maxItems: MAX_PROMPTS }),
    ]),
    max_tokens: Maybe(MaxTokens),
    max_completion_tokens: Maybe(Type.Integer({ minimum: -1, description: 'Another name of `max_tokens`.' })),
    n_predict: Maybe(Type.Integer({ minimum: -1, description: 'llama.cpp’s name of `max_tokens`.' })),
    echo: Maybe(Type.Boolean({ description: 'Put the prompt before the answer, with its log-probabilities.' })),
    logprobs: Maybe(
      Type.Union([Type.Integer({ minimum: 0, maximum: MAX_TOP_LOGPROBS }), Type.Boolean()], {
        description: 'Alternatives per token; 0 = the sampled token only. `true` = 1.',
      }),
    ),
    n_probs: Maybe(
      Type.Integer({ minimum: 0, maximum: MAX_TOP_LOGPROBS, description: 'llama.cpp’s name of `logprobs`.' }),
    ),
    best_of: Maybe(Type.Integer({ minimum: 1, description: 'Only equal to `n`.' })),
    ...EncodingFields,
    ...TruncationFields,
    ...StructuredOutputFields,
    ...SamplingFields,
  },
  {
    title: 'CompletionRequest',
    examples: [{ model: 'ticket-json', prompt: 'My parcel 1234 has not arrived.', max_tokens: 32 }],
  },
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
        prompt_logprobs: Type.Optional(PromptLogprobs),
      }),
    ),
    usage: UsageSchema,
    provenance: ProvenanceSchema,
  },
  { title: 'CompletionAnswer' },
)
export type CompletionAnswerBody = Static<typeof CompletionAnswer>
