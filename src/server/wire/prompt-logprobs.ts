import type { Static } from 'typebox'
import type { TokenLogprob } from '../../core/generation.ts'
import type { TextPort } from '../../generation/ports.ts'
import { finiteLogprob } from './logprob.ts'
import type { PromptLogprobs } from './openai-fields.ts'

type Body = Static<typeof PromptLogprobs>

/** Log-probabilities of a prompt in vLLM's form, with the `alternatives` best tokens of each position. */
export function promptLogprobsBody(
  logprobs: readonly (TokenLogprob | null)[],
  alternatives: number,
  text: Pick<TextPort, 'tokenText'>,
): Body {
  return logprobs.map((position) => {
    if (position === null) return null
    const best = position.top.slice(0, alternatives)
    const entries = best.map((entry, i) => ({ ...entry, rank: i + 1 }))
    const listed = best.some(({ token }) => token === position.token)
    const all = listed ? entries : [...entries, { ...position, rank: position.rank ?? null }]
    return Object.fromEntries(
      all.map(({ token, logprob, rank: place }) => [
        String(token),
        { logprob: finiteLogprob(logprob), rank: place, decoded_token: text.tokenText(token) },
      ]),
    )
  })
}
