import type { TextPort } from '../../generation/ports.ts'
import type { TextToken } from '../../generation/sequence.ts'

/** JSON has no infinities: a token the model rules out is written with this log-probability. */
const LEAST_LOGPROB = -9999

/** A log-probability as JSON can carry it. */
export function finiteLogprob(logprob: number): number {
  return Math.max(logprob, LEAST_LOGPROB)
}

/** How tokens are written beside their log-probabilities: as text, or `token_id:123`, which tells all of them apart. */
export function tokenNames(asIds: boolean, text: Pick<TextPort, 'tokenText'>): (token: number) => string {
  return asIds ? (token) => `token_id:${token}` : (token) => text.tokenText(token)
}

/** A token's log-probability as OpenAI writes it beside a text; nothing where none was asked for. */
export function tokenLogprob(
  { logprob }: TextToken,
  alternatives: number,
  text: Pick<TextPort, 'tokenText' | 'tokenBytes'>,
  name: (token: number) => string = (token) => text.tokenText(token),
) {
  if (!logprob) return []
  const entry = (token: number, value: number) => ({
    token: name(token),
    logprob: finiteLogprob(value),
    bytes: [...text.tokenBytes(token)],
  })
  const top = logprob.top.slice(0, alternatives)
  return [
    {
      ...entry(logprob.token, logprob.logprob),
      top_logprobs: top.map((alternative) => entry(alternative.token, alternative.logprob)),
    },
  ]
}
