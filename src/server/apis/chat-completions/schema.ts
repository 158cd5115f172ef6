import { Type } from 'typebox'
import type { Static } from 'typebox'
import { StructuredOutputFields } from '../../fields/structured-output.ts'
import { ProvenanceSchema, UsageSchema } from '../../wire/answer.ts'
import { Maybe, Open, Strict } from '../../wire/common.ts'
import { ChatMessages, ToolCallSchema, ToolChoiceSchema, ToolSchema } from '../../wire/messages.ts'
import { MAX_TOP_LOGPROBS, OpenAiFields, PromptLogprobs } from '../../wire/openai-fields.ts'
import { TemplateFields, TruncationFields } from '../../wire/prompt-fields.ts'
import { SamplingFields } from '../../wire/sampling.ts'

const MaxTokens = Type.Integer({
  minimum: -1,
  description: 'Default, and with -1: the task’s or the base model’s own, else what fits into the context.',
})

export const ChatBody = Open(
  {
    ...OpenAiFields,
    messages: ChatMessages,
    max_tokens: Maybe(MaxTokens),
    max_completion_tokens: Maybe(MaxTokens),
    n_predict: Maybe(Type.Integer({ minimum: -1, description: 'llama.cpp’s name of `max_tokens`.' })),
    logprobs: Maybe(Type.Boolean()),
    top_logprobs: Maybe(
      Type.Integer({ minimum: 0, maximum: MAX_TOP_LOGPROBS, description: 'Alternatives; with `logprobs: true`.' }),
    ),
    tools: Maybe(Type.Array(ToolSchema, { maxItems: 128, description: 'Functions the model may call.' })),
    tool_choice: Maybe(ToolChoiceSchema),
    parallel_tool_calls: Maybe(Type.Boolean({ description: 'false = the first call only.' })),
    ...TemplateFields,
    ...TruncationFields,
    ...StructuredOutputFields,
    ...SamplingFields,
  },
  {
    title: 'ChatRequest',
    examples: [{ model: 'ticket-json', messages: [{ role: 'user', content: 'My parcel 1234 has not arrived.' }] }],
  },
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
      }),
    ),
    prompt_token_ids: Type.Optional(Type.Array(Type.Integer())),
    prompt_logprobs: Type.Optional(PromptLogprobs),
    usage: UsageSchema,
    provenance: ProvenanceSchema,
  },
  { title: 'ChatAnswer' },
)
export type ChatAnswerBody = Static<typeof ChatAnswer>
