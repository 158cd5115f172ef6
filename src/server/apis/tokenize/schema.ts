import { Type } from 'typebox'
import type { Static } from 'typebox'
import { Maybe, Open, Strict } from '../../wire/common.ts'
import { ChatMessages, ToolSchema } from '../../wire/messages.ts'
import { TemplateFields } from '../../wire/prompt-fields.ts'

const Model = Maybe(Type.String({ minLength: 1, description: 'Checked if given; all share the base model’s tokens.' }))

export const TokenizeBody = Open(
  {
    model: Model,
    prompt: Maybe(Type.String()),
    messages: Maybe(ChatMessages),
    tools: Maybe(Type.Array(ToolSchema, { maxItems: 128 })),
    return_token_strs: Maybe(Type.Boolean({ description: 'Also report the text of every token.' })),
    ...TemplateFields,
  },
  {
    title: 'TokenizeRequest',
    description: 'Exactly one of `prompt` and `messages`.',
    examples: [{ prompt: 'My parcel 1234 has not arrived.' }],
  },
)
export type TokenizeRequest = Static<typeof TokenizeBody>

export const TokenizeAnswer = Strict(
  {
    count: Type.Integer(),
    max_model_len: Type.Integer({ description: 'Longest prompt + answer, in tokens.' }),
    tokens: Type.Array(Type.Integer()),
    token_strs: Type.Union([Type.Array(Type.String()), Type.Null()]),
  },
  { title: 'TokenizeAnswer', description: 'The ids.' },
)

export const DetokenizeBody = Open(
  { model: Model, tokens: Type.Array(Type.Integer({ minimum: 0 })) },
  { title: 'DetokenizeRequest', examples: [{ tokens: [5, 6, 7] }] },
)

export const DetokenizeAnswer = Strict(
  { prompt: Type.String() },
  { title: 'DetokenizeAnswer', description: 'The text, special tokens left out.' },
)
