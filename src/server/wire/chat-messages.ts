import { TroupeError } from '../../core/errors.ts'
import type { JsonObject } from '../../core/json.ts'
import { isJsonObject } from '../../core/json.ts'
import type { ChatMessage } from '../../generation/ports.ts'
import type { ChatMessagesBody, SentToolCallBody } from './messages.ts'

type Message = ChatMessagesBody[number]
type Part = Exclude<Exclude<Message['content'], string | null | undefined>[number], string>

/** Messages as chat templates read them. Throws `invalid_request` for one that says nothing. */
export function chatMessages(messages: ChatMessagesBody): readonly ChatMessage[] {
  return messages.map((message, index) => {
    const { role, name, tool_calls: calls, tool_call_id: answered } = message
    const content = contentOf(message)
    if (content === null && role !== 'assistant') {
      const param = `messages[${index}].content`
      throw new TroupeError('invalid_request', `\`${param}\` is missing: only an assistant’s message may have none`, {
        param,
      })
    }
    const thought = thoughtOf(message)
    return {
      // What newer clients of OpenAI call `developer`, templates know as `system`.
      role: role === 'developer' ? 'system' : role,
      content: content ?? '',
      ...(name ? { name } : {}),
      ...(thought ? { reasoning_content: thought } : {}),
      ...(role === 'assistant' && calls && calls.length > 0 ? { tool_calls: calls.map(templateCall) } : {}),
      ...(role === 'tool' && answered ? { tool_call_id: answered } : {}),
    }
  })
}

/** The text of all parts, joined; null where there is nothing. */
function contentOf({ content, refusal }: Message): string | null {
  if (content === null || content === undefined) return refusal ?? null
  if (typeof content === 'string') return content
  return content.map((part) => (typeof part === 'string' ? part : partText(part))).join('')
}

function partText(part: Part): string {
  if ('refusal' in part) return part.refusal
  return isThought(part) ? '' : part.text
}

function thoughtOf({ content, reasoning, reasoning_content: given }: Message): string {
  const parts = Array.isArray(content) ? content : []
  const thoughts = parts.map((part) => {
    if (typeof part === 'string' || !isThought(part)) return ''
    return part.thinking ?? part.text ?? ''
  })
  return given ?? reasoning ?? thoughts.join('')
}

function isThought(part: Part): part is Extract<Part, { type: 'thinking' | 'reasoning' }> {
  return part.type === 'thinking' || part.type === 'reasoning'
}

/** Templates read arguments as objects. What is none stays text: a model's own malformed call must not block the conversation for ever. */
function templateCall({ id, function: called }: SentToolCallBody): JsonObject {
  const { name, arguments: given } = called
  const text = typeof given === 'string' && given.trim() !== '' ? given : null
  const parsed = text === null ? (given ?? {}) : parsedObject(text)
  return {
    ...(id ? { id } : {}),
    type: 'function',
    function: { name, arguments: isJsonObject(parsed) ? parsed : (text ?? {}) },
  }
}

function parsedObject(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch (error) {
    if (error instanceof SyntaxError) return null
    throw error
  }
}
