import { Type } from 'typebox'
import type { Static } from 'typebox'
import { Strict } from './common.ts'

const TextPart = Strict({ type: Type.Literal('text'), text: Type.String() })

export const ChatMessageSchema = Strict(
  {
    role: Type.Enum(['system', 'developer', 'user', 'assistant'], { description: '`developer` is read as `system`.' }),
    content: Type.Union([Type.String(), Type.Array(TextPart, { minItems: 1 })]),
    name: Type.Optional(Type.String()),
  },
  { title: 'ChatMessage' },
)

export const ChatMessages = Type.Array(ChatMessageSchema, { minItems: 1 })
export type ChatMessagesBody = Static<typeof ChatMessages>
