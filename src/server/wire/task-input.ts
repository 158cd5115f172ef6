import type { TaskInput } from '../../generation/task-input.ts'
import { chatMessages } from './chat-messages.ts'
import type { ChatMessagesBody } from './messages.ts'
import { templateWish } from './prompt-fields.ts'
import type { TemplateBody } from './prompt-fields.ts'

type InputBody = TemplateBody & {
  readonly input?: string | null
  readonly prompt?: string | null
  readonly messages?: ChatMessagesBody | null
}

/** What a body asks a task. @throws TroupeError `invalid_request` for messages that say nothing, and variables that are the server's own */
export function taskInput(body: InputBody): TaskInput {
  const { input, prompt, messages } = body
  return { input, prompt, messages: messages && chatMessages(messages), template: templateWish(body) }
}
