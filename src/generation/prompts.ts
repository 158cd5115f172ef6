import { TroupeError } from '../core/errors.ts'
import type { TaskRecord } from '../catalogue/task.ts'
import type { TextPort } from './ports.ts'

/** A prompt as token ids, with its text when it came as text. */
export interface EncodedPrompt {
  readonly tokens: Int32Array
  readonly text: string | null
}

/** How a text becomes a prompt. */
export interface Encoding {
  /** The field it came from. */
  readonly param: string
  /** Let the tokenizer add its own tokens. */
  readonly addSpecialTokens: boolean
  /** What keeps special tokens written in it from being found, see `TextPort.inert`. */
  readonly mark?: string | null
}

/**
 * Encodes a text. Throws `invalid_request` when no token is left of it, `context_length_exceeded` when it is not even worth encoding.
 */
export function encodePrompt(
  text: TextPort,
  prompt: string,
  { param, addSpecialTokens, mark = null }: Encoding,
): EncodedPrompt {
  const tokens = Int32Array.from(text.encode(prompt, addSpecialTokens, mark))
  if (tokens.length === 0) throw emptyPrompt(param)
  return { tokens, text: mark === null ? prompt : prompt.replaceAll(mark, '') }
}

/** Takes token ids as a prompt. Throws `invalid_request` for ids outside the vocabulary. */
export function tokenPrompt(ids: readonly number[], vocab: number, param: string): EncodedPrompt {
  if (ids.length === 0) throw emptyPrompt(param)
  const wrong = ids.findIndex((id) => id < 0 || id >= vocab)
  if (wrong >= 0)
    throw new TroupeError(
      'invalid_request',
      `\`${param}[${wrong}]\` is token ${ids[wrong]}, the vocabulary has ids 0 to ${vocab - 1}`,
      { param: `${param}[${wrong}]` },
    )
  return { tokens: Int32Array.from(ids), text: null }
}

/** What is left of a prompt that is longer than `limit` tokens; its text goes, as it is not the prompt any more. */
export function truncatePrompt(prompt: EncodedPrompt, limit: number, side: 'left' | 'right'): EncodedPrompt {
  const { tokens } = prompt
  if (tokens.length <= limit) return prompt
  return { tokens: side === 'left' ? tokens.slice(tokens.length - limit) : tokens.slice(0, limit), text: null }
}

/** The task's prompt template around an input: every `{input}` is replaced by the text as it is. */
export function fillPrompt(task: TaskRecord, input: string): string {
  return task.prompt === null ? input : task.prompt.replaceAll('{input}', () => input)
}

function emptyPrompt(param: string): TroupeError {
  return new TroupeError('invalid_request', `\`${param}\` is empty: at least one token is needed`, { param })
}
