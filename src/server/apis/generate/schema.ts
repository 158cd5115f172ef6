import { Type } from 'typebox'
import type { Static } from 'typebox'
import { FinishReasonSchema, ProvenanceSchema, UsageSchema } from '../../wire/answer.ts'
import { ChatMessages } from '../../wire/messages.ts'
import { Maybe, Strict } from '../../wire/common.ts'
import { SamplingFields } from '../../wire/sampling.ts'

export const GenerateBody = Strict(
  {
    input: Type.Optional(Type.String({ description: 'Goes into the task’s prompt template.' })),
    prompt: Type.Optional(Type.String({ description: 'Taken as it is.' })),
    messages: Type.Optional(ChatMessages),
    stream: Maybe(Type.Boolean()),
    user: Maybe(Type.String({ description: 'Stands in for `sticky_key`.' })),
    max_tokens: Maybe(Type.Integer({ minimum: 1, description: 'Default: the task’s, else 256, or what fits.' })),
    logprobs: Maybe(Type.Integer({ minimum: 0, maximum: 20, description: 'Alternatives per token to report.' })),
    ...SamplingFields,
  },
  { title: 'GenerateRequest', description: 'Exactly one of `input`, `prompt` and `messages`.' },
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
