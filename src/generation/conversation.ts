import { TroupeError } from '../core/errors.ts'
import type { JsonObject } from '../core/json.ts'
import type { TaskRecord } from '../catalogue/task.ts'
import type { ChatMessage, TextPort } from './ports.ts'
import type { EncodedPrompt } from './prompts.ts'
import { encodePrompt } from './prompts.ts'
import type { Tool } from './tool-offer.ts'

/** What a request says about how its conversation becomes a prompt. */
export interface TemplateWish {
  /** Variables of the chat template. */
  readonly variables?: JsonObject | null
  readonly documents?: readonly JsonObject[] | null
  /** End where an answer begins; default unless the last message is continued. */
  readonly addGenerationPrompt?: boolean | null
  /** The answer goes on with the last message. */
  readonly continueFinal?: boolean | null
  /** Let the tokenizer add its own tokens to those of the template; default no. */
  readonly addSpecialTokens?: boolean | null
  /** Special tokens written in the messages count as such; default no. */
  readonly parseSpecial?: boolean | null
}

/** What a conversation's prompt is made of. */
export interface Conversation {
  readonly messages: readonly ChatMessage[]
  /** Its system message comes before the client's own one. */
  readonly task: TaskRecord | null
  readonly tools: readonly Tool[]
  /** What the answer begins with, at the end of the prompt. */
  readonly begun: string
  readonly template: TemplateWish
}

/**
 * A conversation as the model's template writes it.
 *
 * @throws TroupeError `invalid_request` where the template cannot be used for it, `context_length_exceeded`
 */
export function encodeConversation(text: TextPort, conversation: Conversation): EncodedPrompt {
  const { begun, template, task } = conversation
  const { value, mark } = template.parseSpecial ? { value: conversation, mark: null } : text.inert(conversation)
  const continued = template.continueFinal ?? false
  if (continued && template.addGenerationPrompt)
    throw refusal('continue_final_message', 'an answer cannot both go on and begin: leave `add_generation_prompt` out')
  const rendered = text.renderChat(withSystem(value.messages, task?.system ?? null), {
    addGenerationPrompt: template.addGenerationPrompt ?? !continued,
    ...(value.tools.length > 0 ? { tools: value.tools } : {}),
    ...(value.template.documents ? { documents: value.template.documents } : {}),
    ...(value.template.variables ? { variables: value.template.variables } : {}),
  })
  const prompt = continued ? openEnded(rendered, value.messages.at(-1)) : rendered
  return encodePrompt(text, prompt + begun, {
    param: 'messages',
    // The chat template writes the special tokens itself.
    addSpecialTokens: template.addSpecialTokens ?? false,
    mark,
  })
}

/** One system message in front; templates know at most one, so the client's own is joined to the task's. */
function withSystem(messages: readonly ChatMessage[], system: string | null): readonly ChatMessage[] {
  if (system === null) return messages
  const [first, ...rest] = messages
  if (first?.role !== 'system') return [{ role: 'system', content: system }, ...messages]
  return [{ ...first, content: `${system}\n\n${first.content}` }, ...rest]
}

/** Cuts off what the template writes behind the last message. */
function openEnded(rendered: string, last: ChatMessage | undefined): string {
  const content = last?.content.trim() ?? ''
  const at = content === '' ? -1 : rendered.lastIndexOf(content)
  if (at >= 0) return rendered.slice(0, at + content.length)
  throw refusal('continue_final_message', 'the last message has no text that the chat template keeps: give it some')
}

function refusal(field: string, problem: string): TroupeError {
  return new TroupeError('invalid_request', `\`${field}\`: ${problem}`, { param: field })
}
