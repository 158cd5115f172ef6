import { TroupeError } from '../../core/errors.ts'
import type { JsonObject } from '../../core/json.ts'
import { parseJsonObject } from '../../core/json.ts'
import type { ChatMessage } from '../../generation/ports.ts'
import type { ChatMessagesBody, ToolCallBody } from './messages.ts'

/** Messages as chat templates read them. Throws `invalid_request` for messages that are incomplete. */
export function chatMessages(messages: ChatMessagesBody): readonly ChatMessage[] {
  return messages.map(plainMessage)
}

/** Text parts joined; `developer` is what newer OpenAI clients call `system`; calls with their arguments as templates read them. */
function plainMessage(message: ChatMessagesBody[number], index: number): ChatMessage {
  const { role, content, name, tool_calls: calls, tool_call_id: answered } = message
  checkMessage(message, `messages[${index}]`)
  return {
    role: role === 'developer' ? 'system' : role,
    content: typeof content === 'string' ? content : (content ?? []).map((part) => part.text).join(''),
    ...(name === undefined ? {} : { name }),
    ...(calls ? { tool_calls: calls.map((call, i) => templateCall(call, `messages[${index}].tool_calls[${i}]`)) } : {}),
    ...(answered ? { tool_call_id: answered } : {}),
  }
}

function checkMessage(message: ChatMessagesBody[number], field: string): void {
  const { role, content, tool_calls: calls, tool_call_id: answered } = message
  const refuse = (name: string, problem: string): never => {
    throw new TroupeError('invalid_request', `\`${field}.${name}\` ${problem}`, { param: `${field}.${name}` })
  }
  if (calls && role !== 'assistant') refuse('tool_calls', 'has no place here: only assistants call tools')
  if (answered && role !== 'tool')
    refuse('tool_call_id', 'has no place here: only messages of role `tool` answer a call')
  if (!answered && role === 'tool')
    refuse('tool_call_id', 'is missing: send the id of the call that this message answers')
  if (!calls && (content ?? null) === null) refuse('content', 'is missing: it may be left out only beside `tool_calls`')
}

/** Templates read arguments as objects. Throws `invalid_request` when they are none. */
function templateCall(call: ToolCallBody, field: string): JsonObject {
  const param = `${field}.function.arguments`
  const { name, arguments: text } = call.function
  return {
    ...call,
    function: {
      name,
      arguments: parseJsonObject(text.trim() === '' ? '{}' : text, `\`${param}\``, 'invalid_request', param),
    },
  }
}
