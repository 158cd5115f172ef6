import { Type } from 'typebox'
import type { Static } from 'typebox'
import { ProvenanceSchema, UsageSchema } from '../../wire/answer.ts'
import { Maybe, Strict } from '../../wire/common.ts'
import { OpenAiFields } from '../completions/schema.ts'
import { ChatMessages, ToolCallSchema, ToolChoice, ToolSchema } from '../../wire/messages.ts'
import { SamplingFields } from '../../wire/sampling.ts'

const MaxTokens = Type.Integer({ minimum: 1, description: 'Default: the task’s, else what fits into the context.' })

export const ChatBody = Strict(
  {
    ...OpenAiFields,
    messages: ChatMessages,
    max_tokens: Maybe(MaxTokens),
    max_completion_tokens: Maybe(MaxTokens),
    logprobs: Maybe(Type.Boolean()),
    top_logprobs: Maybe(Type.Integer({ minimum: 0, maximum: 20, description: 'Only with `logprobs: true`.' })),
    tools: Maybe(Type.Array(ToolSchema, { minItems: 1, maxItems: 128, description: 'Functions the model may call.' })),
    tool_choice: Maybe(ToolChoice),
    response_format: Maybe(Strict({ type: Type.Literal('text') })),
    ...SamplingFields,
  },
  { title: 'ChatRequest' },
)
export type ChatRequest = Static<typeof ChatBody>

const Token = { token: Type.String(), logprob: Type.Number(), bytes: Type.Array(Type.Integer()) }

const ChatLogprobs = Strict({
  content: Type.Array(Strict({ ...Token, top_logprobs: Type.Array(Strict(Token)) })),
  refusal: Type.Null(),
})
export type ChatLogprobsBody = Static<typeof ChatLogprobs>

const ChatFinishReason = Type.Enum(['stop', 'length', 'tool_calls'], {
  description: 'As elsewhere; `tool_calls`: it ended with calls of tools.',
})

export const ChatAnswer = Strict(
  {
    id: Type.String(),
    object: Type.Literal('chat.completion'),
    created: Type.Integer(),
    model: Type.String(),
    choices: Type.Array(
      Strict({
        index: Type.Integer(),
        message: Strict({
          role: Type.Literal('assistant'),
          content: Type.Union([Type.String(), Type.Null()], { description: 'Null where there are only calls.' }),
          refusal: Type.Null(),
          tool_calls: Type.Optional(Type.Array(ToolCallSchema)),
        }),
        logprobs: Type.Union([ChatLogprobs, Type.Null()]),
        finish_reason: ChatFinishReason,
        token_ids: Type.Optional(Type.Array(Type.Integer())),
        prompt_token_ids: Type.Optional(Type.Array(Type.Integer())),
      }),
    ),
    usage: UsageSchema,
    provenance: ProvenanceSchema,
  },
  { title: 'ChatAnswer' },
)
export type ChatAnswerBody = Static<typeof ChatAnswer>
