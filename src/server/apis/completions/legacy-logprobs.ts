import type { TokenLogprob } from '../../../core/generation.ts'
import type { TextToken } from '../../../generation/sequence.ts'
import type { LegacyLogprobsBody } from './schema.ts'
import { finiteLogprob } from '../../wire/logprob.ts'

/** How tokens and their alternatives are written. */
export interface LegacyNaming {
  readonly alternatives: number
  name(token: number): string
}

/**
 * Log-probabilities in the form of OpenAI's completions: four parallel arrays.
 * `shift` = where the tokens' own text begins, for answers behind an echoed prompt.
 */
export function legacyLogprobs(tokens: readonly TextToken[], naming: LegacyNaming, shift = 0): LegacyLogprobsBody {
  return {
    tokens: tokens.map(({ token }) => naming.name(token)),
    token_logprobs: tokens.map(({ logprob }) => (logprob ? finiteLogprob(logprob.logprob) : null)),
    top_logprobs: tokens.map(({ logprob }) => (logprob ? alternatives(logprob, naming) : null)),
    text_offset: tokens.map(({ offset }) => offset + shift),
  }
}

/** The prompt's arrays followed by the answer's. */
export function joinLegacy(
  prompt: LegacyLogprobsBody | null,
  answer: LegacyLogprobsBody | null,
): LegacyLogprobsBody | null {
  if (!prompt || !answer) return answer
  return {
    tokens: [...prompt.tokens, ...answer.tokens],
    token_logprobs: [...prompt.token_logprobs, ...answer.token_logprobs],
    top_logprobs: [...prompt.top_logprobs, ...answer.top_logprobs],
    text_offset: [...prompt.text_offset, ...answer.text_offset],
  }
}

/** The best alternatives by their text, and the token itself even when it is not among them. The better of two with the same text stays. */
function alternatives(logprob: TokenLogprob, naming: LegacyNaming): Record<string, number> {
  const byText = new Map<string, number>()
  for (const { token, logprob: value } of [...logprob.top.slice(0, naming.alternatives), logprob]) {
    const key = naming.name(token)
    byText.set(key, Math.max(byText.get(key) ?? -Infinity, finiteLogprob(value)))
  }
  return Object.fromEntries(byText)
}
