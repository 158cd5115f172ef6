import type { CompareAnswerBody } from '../server/apis/compare/schema.ts'
import { ApiClient } from './api-client.ts'
import type { ServerFlags } from './api-client.ts'
import { mixesOf } from './mixes.ts'
import { renderTable } from './table.ts'

/** The flags of `troupe compare` as commander gives them. */
export interface CompareFlags extends ServerFlags {
  readonly mixes: string
  readonly task?: string
  readonly maxTokens?: string
  readonly json?: boolean
}

/** Sends one input through several mixes of a running server and prints the answers side by side. */
export async function compare(input: string, flags: CompareFlags): Promise<void> {
  const { task, maxTokens } = flags
  const answer = await new ApiClient(flags).send<CompareAnswerBody>('POST', '/v1/compare', {
    ...(task === undefined ? { prompt: input } : { task, input }),
    mixes: mixesOf(flags.mixes),
    likelihoods: true,
    ...(maxTokens !== undefined && { max_tokens: Number(maxTokens) }),
  })
  console.log(flags.json ? JSON.stringify(answer, null, 2) : renderComparison(answer))
  if (answer.answers.some((one) => 'error' in one)) process.exitCode = 1
}

function renderComparison({ mixes, answers, first_difference, log_likelihoods }: CompareAnswerBody): string {
  const texts = answers.map((one) => {
    const name = mixes[one.index]!.label
    if ('error' in one) return `${name}: failed, ${one.error.message}`
    const { total_ms: ms } = one.timings
    return `${name} (${one.token_ids.length} tokens, ${Math.round(ms)} ms)\n${one.text.trim()}`
  })
  const parts = first_difference.map(({ a, b, token }) => [
    mixes[a]!.label,
    mixes[b]!.label,
    token === null ? 'equal' : `token ${token}`,
  ])
  const likely = log_likelihoods?.map((row, i) => [
    mixes[i]!.label,
    ...row.map((value) => (value === null ? '-' : value.toFixed(2))),
  ])
  return [
    ...texts,
    ...(parts.length > 0 ? [renderTable(['mix', 'mix', 'first difference'], parts)] : []),
    ...(likely ? [renderTable(['log-likelihood of', ...mixes.map(({ label }) => label)], likely)] : []),
  ].join('\n\n')
}
