import { Type } from 'typebox'
import type { Static } from 'typebox'
import { StructuredOutputFields } from '../../fields/structured-output.ts'
import { FinishReasonSchema, UsageSchema } from '../../wire/answer.ts'
import { ErrorBody, Maybe, Name, Strict } from '../../wire/common.ts'
import { ChatMessages } from '../../wire/messages.ts'
import { MixesSchema, PinnedMixSchema } from '../../wire/mixes.ts'
import { TemplateFields, TruncationFields } from '../../wire/prompt-fields.ts'
import { DrawingFields } from '../../wire/sampling.ts'

export const CompareBody = Strict(
  {
    mixes: MixesSchema,
    input: Maybe(Type.String({ description: 'Goes into the prompt template of `task`.' })),
    prompt: Maybe(Type.String({ description: 'Taken as it is.' })),
    messages: Maybe(ChatMessages),
    /** Its prompt, system message and defaults hold for every mix. */
    task: Maybe(Name),
    likelihoods: Maybe(Type.Boolean({ description: 'Also say how likely each answer is under each mix.' })),
    stream: Maybe(Type.Boolean()),
    max_tokens: Maybe(Type.Integer({ minimum: 1, description: 'Default: the task’s, else 256, or what fits.' })),
    ...TemplateFields,
    ...TruncationFields,
    ...StructuredOutputFields,
    ...DrawingFields,
  },
  {
    title: 'CompareRequest',
    description:
      'Exactly one of `input`, `prompt` and `messages`. Greedy unless the task or the request set a temperature.',
    examples: [
      { input: 'My parcel 1234 has not arrived.', mixes: [{ model: 'ticket-json' }, { model: 'ticket-json-bn' }] },
    ],
  },
)
export type CompareRequest = Static<typeof CompareBody>

const Milliseconds = Type.Number()

const MixAnswerSchema = Strict(
  {
    index: Type.Integer({ description: 'Which mix.' }),
    text: Type.String(),
    token_ids: Type.Array(Type.Integer()),
    finish_reason: FinishReasonSchema,
    usage: UsageSchema,
    timings: Strict({
      queue_ms: Milliseconds,
      load_ms: Milliseconds,
      first_token_ms: Type.Union([Milliseconds, Type.Null()], { description: 'From the request’s arrival.' }),
      total_ms: Milliseconds,
      tokens_per_second: Type.Union([Type.Number(), Type.Null()], { description: 'After the first token.' }),
    }),
  },
  { title: 'MixAnswer' },
)

const MixFailureSchema = Strict(
  { index: Type.Integer(), error: ErrorBody.properties.error },
  { title: 'MixFailure', description: 'The mix could not run to its end; the others did.' },
)

export const CompareAnswer = Strict(
  {
    mixes: Type.Array(PinnedMixSchema),
    answers: Type.Array(Type.Union([MixAnswerSchema, MixFailureSchema]), { description: 'In the order of the mixes.' }),
    first_difference: Type.Array(
      Strict({
        a: Type.Integer(),
        b: Type.Integer(),
        token: Type.Union([Type.Integer(), Type.Null()], {
          description: 'Index of the first token that differs; null = the answers are equal.',
        }),
      }),
      { description: 'Each two mixes that answered.' },
    ),
    log_likelihoods: Type.Union([Type.Array(Type.Array(Type.Union([Type.Number(), Type.Null()]))), Type.Null()], {
      description:
        '`[answer][mix]`: the log-likelihood, in nats, of the tokens of a mix’s answer under each mix. Null unless asked for.',
    }),
  },
  { title: 'CompareAnswer' },
)
export type CompareAnswerBody = Static<typeof CompareAnswer>
