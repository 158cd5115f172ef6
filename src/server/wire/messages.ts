import { Type } from 'typebox'
import type { Static } from 'typebox'
import { Maybe, Strict } from './common.ts'

const TextPart = Strict({ type: Type.Literal('text'), text: Type.String() })

const FunctionCall = Strict({
  name: Type.String({ minLength: 1 }),
  arguments: Type.String({ description: 'A JSON object as text.' }),
})

export const ToolCallSchema = Strict(
  { id: Type.String(), type: Type.Literal('function'), function: FunctionCall },
  { title: 'ToolCall' },
)

export type ToolCallBody = Static<typeof ToolCallSchema>

export const ToolSchema = Strict(
  {
    type: Type.Literal('function'),
    function: Strict({
      name: Type.String({ pattern: '^[a-zA-Z0-9_.-]{1,64}$' }),
      description: Maybe(Type.String()),
      parameters: Maybe(Type.Record(Type.String(), Type.Unknown(), { description: 'JSON schema of the arguments.' })),
      strict: Maybe(Type.Literal(false, { description: 'Answers are not held to a schema.' })),
    }),
  },
  { title: 'Tool' },
)

export const ToolChoice = Type.Union(
  [
    Type.Enum(['auto', 'none', 'required']),
    Strict({ type: Type.Literal('function'), function: Strict({ name: Type.String({ minLength: 1 }) }) }),
  ],
  {
    description:
      '`auto`: the model decides, the default; `none`: without `tools`; `required` or a function of `tools`: the answer is begun as a call (of it).',
  },
)

export const ChatMessageSchema = Strict(
  {
    role: Type.Enum(['system', 'developer', 'user', 'assistant', 'tool'], {
      description: '`developer` is read as `system`.',
    }),
    content: Maybe(
      Type.Union([Type.String(), Type.Array(TextPart, { minItems: 1 })], {
        description: 'May be left out or null only beside `tool_calls`.',
      }),
    ),
    name: Type.Optional(Type.String()),
    tool_calls: Maybe(Type.Array(ToolCallSchema, { minItems: 1, description: 'Calls that the assistant made.' })),
    tool_call_id: Maybe(Type.String({ description: 'With role `tool`: the call that this message answers.' })),
    refusal: Type.Optional(Type.Null({ description: 'As it stands in the answers, which clients send back.' })),
  },
  { title: 'ChatMessage' },
)

export const ChatMessages = Type.Array(ChatMessageSchema, { minItems: 1 })
export type ChatMessagesBody = Static<typeof ChatMessages>
