import { TroupeError } from '../../core/errors.ts'
import type { TaskRecord } from '../../catalogue/task.ts'
import { encodeConversation } from '../../generation/conversation.ts'
import type { TextPort } from '../../generation/ports.ts'
import { encodePrompt, fillPrompt } from '../../generation/prompts.ts'
import type { EncodedPrompt } from '../../generation/prompts.ts'
import { chatMessages } from './chat-messages.ts'
import type { ChatMessagesBody } from './messages.ts'
import { templateWish } from './prompt-fields.ts'
import type { TemplateBody } from './prompt-fields.ts'

type InputBody = TemplateBody & {
  readonly input?: string | null
  readonly prompt?: string | null
  readonly messages?: ChatMessagesBody | null
}

/**
 * The input of a task as its prompt: `input` in the task's template, `prompt` as it is, or a conversation.
 *
 * @throws TroupeError `invalid_request` unless there is exactly one of the three, or where it gives no tokens; `context_length_exceeded`
 */
export function encodeInput(text: TextPort, task: TaskRecord | null, body: InputBody): EncodedPrompt {
  const { input, prompt, messages } = body
  const given = [input, prompt, messages].filter((one) => one !== undefined && one !== null)
  if (given.length !== 1)
    throw new TroupeError('invalid_request', 'send exactly one of `input`, `prompt` and `messages`', { param: 'input' })
  const addSpecialTokens = body.add_special_tokens ?? true
  if (messages)
    return encodeConversation(text, {
      ...{ messages: chatMessages(messages), task, tools: [], begun: '' },
      template: templateWish(body),
    })
  // The task's own text may hold special tokens, what is put into it may not; a raw prompt is the client's own.
  const whole = typeof prompt === 'string'
  const { value, mark } = body.parse_special ?? whole ? { value: prompt ?? input ?? '', mark: null } : text.inert(prompt ?? input ?? '') // prettier-ignore
  const filled = whole || !task ? value : fillPrompt(task, value)
  return encodePrompt(text, filled, { param: whole ? 'prompt' : 'input', addSpecialTokens, mark })
}
