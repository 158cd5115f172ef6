import type { TaskRecord } from '../catalogue/task.ts'
import { TroupeError } from '../core/errors.ts'
import { encodeConversation } from './conversation.ts'
import type { TemplateWish } from './conversation.ts'
import type { ChatMessage, TextPort } from './ports.ts'
import { encodePrompt, fillPrompt } from './prompts.ts'
import type { EncodedPrompt } from './prompts.ts'

/** What a task is asked: one of the three. */
export interface TaskInput {
  /** Goes into the task's prompt. */
  readonly input?: string | null | undefined
  /** Taken as it is. */
  readonly prompt?: string | null | undefined
  readonly messages?: readonly ChatMessage[] | null | undefined
  readonly template: TemplateWish
}

/**
 * The input of a task as its prompt.
 *
 * @throws TroupeError `invalid_request` unless there is exactly one way in, or where it gives no tokens; `context_length_exceeded`
 */
export function encodeInput(text: TextPort, task: TaskRecord | null, asked: TaskInput): EncodedPrompt {
  const { input, prompt, messages, template } = asked
  const given = [input, prompt, messages].filter((one) => one !== undefined && one !== null)
  if (given.length !== 1)
    throw new TroupeError('invalid_request', 'send exactly one of `input`, `prompt` and `messages`', { param: 'input' })
  if (messages) return encodeConversation(text, { messages, task, tools: [], begun: '', template })
  const addSpecialTokens = template.addSpecialTokens ?? true
  // The task's own text may hold special tokens, what is put into it may not; a raw prompt is the client's own.
  const whole = typeof prompt === 'string'
  const { value, mark } = template.parseSpecial ?? whole ? { value: prompt ?? input ?? '', mark: null } : text.inert(prompt ?? input ?? '') // prettier-ignore
  const filled = whole || !task ? value : fillPrompt(task, value)
  return encodePrompt(text, filled, { param: whole ? 'prompt' : 'input', addSpecialTokens, mark })
}
