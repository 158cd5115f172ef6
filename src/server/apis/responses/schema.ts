import { Type } from 'typebox'
import type { Static } from 'typebox'
import { ResponseTextFields } from '../../fields/structured-output.ts'
import { ProvenanceSchema } from '../../wire/answer.ts'
import { Maybe, Open, Strict } from '../../wire/common.ts'
import { MAX_TOP_LOGPROBS, OpenAiFields } from '../../wire/openai-fields.ts'
import { TemplateFields, TruncationFields } from '../../wire/prompt-fields.ts'
import { SamplingFields } from '../../wire/sampling.ts'

const AnyObject = Type.Record(Type.String(), Type.Unknown())

const Part = Type.Union([
  Open({
    type: Type.Enum(['input_text', 'output_text', 'text', 'summary_text', 'reasoning_text']),
    text: Type.String(),
  }),
  Open({ type: Type.Literal('refusal'), refusal: Type.String() }),
])
const Content = Type.Union([Type.String(), Type.Array(Part)])

const InputItem = Type.Union([
  Open({
    type: Maybe(Type.Literal('message')),
    role: Type.Enum(['system', 'developer', 'user', 'assistant']),
    content: Content,
  }),
  Open({
    type: Type.Literal('function_call'),
    call_id: Type.String({ minLength: 1 }),
    name: Type.String({ minLength: 1 }),
    arguments: Type.String({ description: 'A JSON object as text.' }),
  }),
  Open({ type: Type.Literal('function_call_output'), call_id: Type.String({ minLength: 1 }), output: Content }),
  Open({ type: Type.Literal('reasoning'), summary: Maybe(Type.Array(Part)), content: Maybe(Type.Array(Part)) }),
])
export type InputItemBody = Static<typeof InputItem>
export type ContentBody = Static<typeof Content>

const ResponseTool = Open({
  type: Type.Literal('function'),
  name: Type.String({ pattern: '^[a-zA-Z0-9_.-]{1,64}$', description: 'letters, digits, `_`, `.` and `-`' }),
  description: Maybe(Type.String()),
  parameters: Maybe(Type.Record(Type.String(), Type.Unknown(), { description: 'JSON schema of the arguments.' })),
  strict: Maybe(Type.Boolean({ description: 'Calls are held to `parameters`, with properties in their order.' })),
})

const withoutN = Object.fromEntries(Object.entries(SamplingFields).filter(([name]) => name !== 'n')) as Omit<
  typeof SamplingFields,
  'n'
>
const { model, stream, stream_options, user } = OpenAiFields

export const ResponseBody = Open(
  {
    model,
    stream,
    stream_options,
    user,
    input: Type.Union([Type.String(), Type.Array(InputItem, { minItems: 1 })], {
      description: 'The whole conversation: nothing of earlier answers is kept.',
    }),
    instructions: Maybe(Type.String({ description: 'A system message before the input.' })),
    max_output_tokens: Maybe(
      Type.Integer({ minimum: 1, description: 'Default: the task’s or the base model’s own, else what fits.' }),
    ),
    tools: Maybe(Type.Array(ResponseTool, { maxItems: 128, description: 'Functions the model may call.' })),
    tool_choice: Maybe(
      Type.Union([
        Type.Enum(['auto', 'none', 'required']),
        Open({ type: Type.Literal('function'), name: Type.String({ minLength: 1 }) }),
      ]),
    ),
    parallel_tool_calls: Maybe(Type.Boolean({ description: 'false = the first call only.' })),
    reasoning: Maybe(Open({ effort: Maybe(Type.String({ maxLength: 32 })) })),
    text: Maybe(Open(ResponseTextFields)),
    include: Maybe(Type.Array(Type.String(), { description: '`message.output_text.logprobs` is honoured.' })),
    top_logprobs: Maybe(Type.Integer({ minimum: 0, maximum: MAX_TOP_LOGPROBS })),
    metadata: Maybe(Type.Record(Type.String(), Type.Unknown(), { description: 'Comes back with the answer.' })),
    ...TemplateFields,
    ...TruncationFields,
    ...withoutN,
  },
  { title: 'ResponseRequest', examples: [{ model: 'ticket-json', input: 'My parcel 1234 has not arrived.' }] },
)
export type ResponseRequest = Static<typeof ResponseBody>

const Token = { token: Type.String(), logprob: Type.Number(), bytes: Type.Array(Type.Integer()) }

const OutputText = Strict({
  type: Type.Literal('output_text'),
  text: Type.String(),
  annotations: Type.Array(Type.Unknown()),
  logprobs: Type.Array(Strict({ ...Token, top_logprobs: Type.Array(Strict(Token)) })),
})
export type OutputTextBody = Static<typeof OutputText>

const ItemStatus = Type.Enum(['in_progress', 'completed', 'incomplete'])

const OutputMessage = Strict(
  {
    id: Type.String(),
    type: Type.Literal('message'),
    status: ItemStatus,
    role: Type.Literal('assistant'),
    content: Type.Array(OutputText),
  },
  { title: 'OutputMessage' },
)
export type OutputMessageBody = Static<typeof OutputMessage>

const OutputCall = Strict(
  {
    id: Type.String(),
    type: Type.Literal('function_call'),
    status: ItemStatus,
    call_id: Type.String(),
    name: Type.String(),
    arguments: Type.String({ description: 'A JSON object as text.' }),
  },
  { title: 'OutputCall' },
)
export type OutputItemBody = Static<typeof OutputMessage> | Static<typeof OutputCall>

const ResponseUsage = Strict(
  {
    input_tokens: Type.Integer(),
    input_tokens_details: Strict({ cached_tokens: Type.Integer() }),
    output_tokens: Type.Integer(),
    output_tokens_details: Strict({ reasoning_tokens: Type.Integer() }),
    total_tokens: Type.Integer(),
  },
  { title: 'ResponseUsage' },
)

export const ResponseAnswer = Strict(
  {
    id: Type.String(),
    object: Type.Literal('response'),
    created_at: Type.Integer(),
    status: Type.Enum(['in_progress', 'completed', 'incomplete']),
    background: Type.Literal(false),
    error: Type.Null(),
    incomplete_details: Type.Union([Strict({ reason: Type.Literal('max_output_tokens') }), Type.Null()]),
    instructions: Type.Union([Type.String(), Type.Null()]),
    max_output_tokens: Type.Union([Type.Integer(), Type.Null()]),
    metadata: AnyObject,
    model: Type.String(),
    output: Type.Array(Type.Union([OutputMessage, OutputCall])),
    parallel_tool_calls: Type.Boolean(),
    previous_response_id: Type.Null({ description: 'Answers are not stored.' }),
    reasoning: Strict({ effort: Type.Union([Type.String(), Type.Null()]), summary: Type.Null() }),
    store: Type.Literal(false, { description: 'Answers are not stored.' }),
    temperature: Type.Number(),
    text: Strict({ format: AnyObject }),
    tool_choice: Type.Union([Type.String(), AnyObject]),
    tools: Type.Array(AnyObject),
    top_p: Type.Number(),
    truncation: Type.Literal('disabled'),
    usage: Type.Union([ResponseUsage, Type.Null()]),
    user: Type.Union([Type.String(), Type.Null()]),
    provenance: Type.Optional(ProvenanceSchema),
  },
  { title: 'Response' },
)
export type ResponseAnswerBody = Static<typeof ResponseAnswer>
