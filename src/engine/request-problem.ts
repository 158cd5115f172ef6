import type { ErrorCode } from '../core/errors.ts'
import type { GenerationRequest } from '../core/generation.ts'
import { PAGE_TOKENS } from '../device/port.ts'
import type { HeldAdapters } from './held-adapters.ts'
import { pagesFor } from './sequence.ts'

export interface RequestLimits {
  readonly vocab: number
  readonly maxContext: number
  readonly kvPages: number
  readonly pageBytes: number
}

/** Why a request can never run; null = it can. */
export function problemWith(
  request: GenerationRequest,
  held: HeldAdapters,
  { vocab, maxContext, kvPages, pageBytes }: RequestLimits,
): { readonly code: ErrorCode; readonly message: string } | null {
  const { tokens, mix, maxTokens } = request
  if (tokens.length === 0) return { code: 'invalid_request', message: 'the prompt has no tokens' }
  const missing = held.missing(mix)
  if (missing !== null) return { code: 'internal', message: `${missing} is not held by the engine` }
  const use = held.use(mix)
  const length = (use.virtual?.count ?? 0) + tokens.length + Math.max(0, maxTokens - 1)
  const known = vocab + use.newTokens
  use.release()
  const foreign = tokens.find((token) => token < 0 || token >= known)
  if (foreign !== undefined)
    return { code: 'invalid_request', message: `token ${foreign} is outside the vocabulary of ${known}` }
  if (length > maxContext) {
    const message = `the sequence needs ${length} tokens of context and maxContext is ${maxContext}: shorten the prompt or max_tokens`
    return { code: 'context_length_exceeded', message }
  }
  const pages = pagesFor(length)
  if (pages <= kvPages) return null
  const message =
    `the sequence needs ${pages * pageBytes} bytes for the keys and values of ${length} tokens, and kvBytes holds ${kvPages * pageBytes} ` +
    `(${kvPages * PAGE_TOKENS} tokens): shorten the prompt or max_tokens, or raise kvBytes`
  return { code: 'context_length_exceeded', message }
}
