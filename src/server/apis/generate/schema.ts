import { Type } from 'typebox'
import type { Static } from 'typebox'
import { FinishReasonSchema, ProvenanceSchema, UsageSchema } from '../../wire/answer.ts'
import { StructuredOutputFields } from '../../fields/structured-output.ts'
import { TemplateFields, TruncationFields } from '../../wire/prompt-fields.ts'
import { ChatMessages } from '../../wire/messages.ts'
import { Maybe, Open, Strict } from '../../wire/common.ts'
import { SamplingFields } from '../../wire/sampling.ts'

export const GenerateBody = Open(
  {
    input: Maybe(Type.String({ description: 'Goes into the task’s prompt template.' })),
    prompt: Maybe(Type.String({ description: 'Taken as it is.' })),
    messages: Maybe(ChatMessages),
    stream: Maybe(Type.Boolean()),
    user: Maybe(Type.String({ description: 'Stands in for `sticky_key`.' })),
    max_tokens: Maybe(Type.Integer({ minimum: 1, description: 'Default: the task’s, else 256, or what fits.' })),
    ...TemplateFields,
    ...TruncationFields,
    ...StructuredOutputFields,
    logprobs: Maybe(Type.Integer({ minimum: 0, maximum: 20, description: 'Alternatives per token to report.' })),
    ...SamplingFields,
  },
  {
    title: 'GenerateRequest',
    description: 'Exactly one of `input`, `prompt` and `messages`.',
    examples: [{ input: 'My parcel 1234 has not arrived.' }],
  },
)
export type GenerateRequest = Static<typeof GenerateBody>

const TokenChoice = { id: Type.Integer(), text: Type.String(), logprob: Type.Number() }

const GenerateLogprobs = Type.Array(Strict({ ...TokenChoice, top: Type.Array(Strict(TokenChoice)) }), {
  description: 'Natural logarithms, one entry per token, alternatives best first.',
})

export const GenerateAnswer = Strict(
  {
    id: Type.String(),
    task: Type.String(),
    created: Type.Integer(),
    model: Type.String(),
    choices: Type.Array(
      Strict({
        index: Type.Integer(),
        text: Type.String(),
        finish_reason: FinishReasonSchema,
        logprobs: Type.Optional(GenerateLogprobs),
      }),
    ),
    usage: UsageSchema,
    provenance: ProvenanceSchema,
  },
  { title: 'GenerateAnswer' },
)
export type GenerateAnswerBody = Static<typeof GenerateAnswer>
