import { Type } from 'typebox'
import type { Static } from 'typebox'
import { Maybe, Open, Strict } from './common.ts'

const ToolCallFunction = { name: Type.String({ minLength: 1 }) }

/** A call as it stands in answers. */
export const ToolCallSchema = Strict(
  {
    id: Type.String(),
    type: Type.Literal('function'),
    function: Strict({ ...ToolCallFunction, arguments: Type.String({ description: 'A JSON object as text.' }) }),
  },
  { title: 'ToolCall' },
)

/** A call as clients send it back. */
const SentToolCall = Open(
  {
    id: Maybe(Type.String()),
    type: Maybe(Type.Literal('function')),
    function: Open({
      ...ToolCallFunction,
      arguments: Maybe(
        Type.Union([Type.String(), Type.Record(Type.String(), Type.Unknown())], {
          description: 'A JSON object, as text or as it is. Text that is none is shown to the model as text.',
        }),
      ),
    }),
  },
  { title: 'SentToolCall' },
)
export type SentToolCallBody = Static<typeof SentToolCall>

export const ToolSchema = Open(
  {
    type: Type.Literal('function'),
    function: Open({
      name: Type.String({ pattern: '^[a-zA-Z0-9_.-]{1,64}$', description: 'letters, digits, `_`, `.` and `-`' }),
      description: Maybe(Type.String()),
      parameters: Maybe(Type.Record(Type.String(), Type.Unknown(), { description: 'JSON schema of the arguments.' })),
      strict: Maybe(Type.Boolean({ description: 'Calls are held to `parameters`, with properties in their order.' })),
    }),
  },
  { title: 'Tool' },
)

export const ToolChoiceSchema = Type.Union(
  [
    Type.Enum(['auto', 'none', 'required']),
    Open({ type: Type.Literal('function'), function: Open({ name: Type.String({ minLength: 1 }) }) }),
  ],
  {
    description:
      '`auto`: the model decides, the default; `none`: without `tools`; `required` or a function of `tools`: the answer is a call (of it) that fits its `parameters`.',
  },
)

const ContentPart = Type.Union([
  Open({ type: Type.Enum(['text', 'input_text', 'output_text']), text: Type.String() }),
  Open({ type: Type.Literal('refusal'), refusal: Type.String() }),
  Open({ type: Type.Enum(['thinking', 'reasoning']), thinking: Maybe(Type.String()), text: Maybe(Type.String()) }),
  Type.String(),
])

export const ChatMessageSchema = Open(
  {
    role: Type.Enum(['system', 'developer', 'user', 'assistant', 'tool'], {
      description: '`developer` is read as `system`.',
    }),
    content: Maybe(
      Type.Union([Type.String(), Type.Array(ContentPart)], {
        description: 'May be left out or null only where an assistant speaks.',
      }),
    ),
    name: Maybe(Type.String()),
    tool_calls: Maybe(Type.Array(SentToolCall, { description: 'Calls that the assistant made.' })),
    tool_call_id: Maybe(Type.String({ description: 'With role `tool`: the call that this message answers.' })),
    refusal: Maybe(Type.String({ description: 'Stands in for `content` where an assistant refused.' })),
    reasoning_content: Maybe(
      Type.String({ description: 'What the assistant thought; given to templates that read it.' }),
    ),
    reasoning: Maybe(Type.String({ description: 'Another name of `reasoning_content`.' })),
  },
  { title: 'ChatMessage' },
)

export const ChatMessages = Type.Array(ChatMessageSchema, { minItems: 1 })
export type ChatMessagesBody = Static<typeof ChatMessages>
