import type { ChatMessagesBody } from '../../wire/messages.ts'
import type { ContentBody, InputItemBody, ResponseRequest } from './schema.ts'

type Message = ChatMessagesBody[number]

/**
 * Input items as the messages of a conversation: calls and thoughts belong to the assistant's message before or after them, what a call
 * gave is a message of its own.
 */
export function inputMessages({ input, instructions }: Pick<ResponseRequest, 'input' | 'instructions'>): Message[] {
  const messages: Message[] = instructions ? [{ role: 'system', content: instructions }] : []
  const items: readonly InputItemBody[] = typeof input === 'string' ? [{ role: 'user', content: input }] : input
  let thought = ''
  for (const item of items) {
    if ('role' in item) {
      const { role, content } = item
      const said = thought !== '' && role === 'assistant' ? { reasoning_content: thought } : {}
      if (role === 'assistant') thought = ''
      messages.push({ role, content: textOf(content), ...said })
    } else if (item.type === 'function_call') {
      const call = {
        id: item.call_id,
        type: 'function' as const,
        function: { name: item.name, arguments: item.arguments },
      }
      const last = messages.at(-1)
      if (last?.role === 'assistant') last.tool_calls = [...(last.tool_calls ?? []), call]
      else messages.push({ role: 'assistant', content: '', tool_calls: [call], ...(thought !== '' && { reasoning_content: thought }) }) // prettier-ignore
      thought = ''
    } else if (item.type === 'function_call_output') {
      messages.push({ role: 'tool', tool_call_id: item.call_id, content: textOf(item.output) })
    } else thought = textOf(item.content ?? item.summary ?? [])
  }
  return messages
}

function textOf(content: ContentBody): string {
  if (typeof content === 'string') return content
  return content.map((part) => ('refusal' in part ? part.refusal : part.text)).join('')
}
