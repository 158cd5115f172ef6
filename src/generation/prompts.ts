import { TroupeError } from '../core/errors.ts'
import type { TaskRecord } from '../registry/records.ts'
import type { ChatMessage, TextPort } from './ports.ts'
import type { Tool } from './tool-offer.ts'

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

/** A conversation as the model's template writes it; the task's system message comes before the client's own one. */
export function renderMessages(
  text: TextPort,
  messages: readonly ChatMessage[],
  task: TaskRecord | null,
  tools?: readonly Tool[],
): string {
  return text.renderChat(withSystem(messages, task?.system ?? null), tools)
}

/** One system message in front; templates know at most one, so the client's own is joined to the task's. */
function withSystem(messages: readonly ChatMessage[], system: string | null): readonly ChatMessage[] {
  if (system === null) return messages
  const [first, ...rest] = messages
  if (first?.role !== 'system') return [{ role: 'system', content: system }, ...messages]
  return [{ ...first, content: `${system}\n\n${first.content}` }, ...rest]
}
