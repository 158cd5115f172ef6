import { TroupeError } from '../../core/errors.ts'
import type { JsonObject } from '../../core/json.ts'
import { parseJsonObject } from '../../core/json.ts'
import type { TaskRecord } from '../../registry/records.ts'
import type { ChatMessage, TextPort } from '../deps.ts'
import type { ChatMessagesBody, ToolBody, ToolCallBody } from '../schemas/messages.ts'

/** A prompt as token ids, with its text when it came as text. */
export interface EncodedPrompt {
  readonly tokens: Int32Array
  readonly text: string | null
}

/**
 * Encodes a raw prompt. `param` is the field it came from.
 * Throws `invalid_request` when no token is left of it, `prompt_too_long` when it is not even worth encoding.
 */
export function encodePrompt(text: TextPort, prompt: string, addSpecialTokens: boolean, param: string): EncodedPrompt {
  const tokens = Int32Array.from(text.encode(prompt, addSpecialTokens))
  if (tokens.length === 0)
    throw new TroupeError('invalid_request', `\`${param}\` is empty: at least one token is needed`, { param })
  return { tokens, text: prompt }
}

/** Takes token ids as a prompt. Throws `invalid_request` for ids outside the vocabulary. */
export function tokenPrompt(ids: readonly number[], vocab: number, param: string): EncodedPrompt {
  if (ids.length === 0)
    throw new TroupeError('invalid_request', `\`${param}\` is empty: at least one token is needed`, { param })
  const wrong = ids.findIndex((id) => id < 0 || id >= vocab)
  if (wrong >= 0)
    throw new TroupeError(
      'invalid_request',
      `\`${param}[${wrong}]\` is token ${ids[wrong]}, the vocabulary has ids 0 to ${vocab - 1}`,
      { param: `${param}[${wrong}]` },
    )
  return { tokens: Int32Array.from(ids), text: null }
}

/** The task's prompt template around an input: every `{input}` is replaced by the text as it is. */
export function fillPrompt(task: TaskRecord, input: string): string {
  return task.prompt === null ? input : task.prompt.replaceAll('{input}', () => input)
}

/**
 * A conversation as the model's template writes it; the task's system message comes before the client's own one.
 * Throws `invalid_request` for messages that are incomplete.
 */
export function renderMessages(
  text: TextPort,
  messages: ChatMessagesBody,
  task: TaskRecord | null,
  tools?: readonly ToolBody[],
): string {
  return text.renderChat(withSystem(messages.map(plainMessage), task?.system ?? null), tools)
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

/** One system message in front; templates know at most one, so the client's own is joined to the task's. */
function withSystem(messages: readonly ChatMessage[], system: string | null): readonly ChatMessage[] {
  if (system === null) return messages
  const [first, ...rest] = messages
  if (first?.role !== 'system') return [{ role: 'system', content: system }, ...messages]
  return [{ ...first, content: `${system}\n\n${first.content}` }, ...rest]
}
