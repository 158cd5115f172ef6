import type { Sampler } from './sampler.ts'
import type { Sequence } from './sequence.ts'

/**
 * Adds the log-probabilities of the prompt tokens that follow the positions just evaluated to those that the sequence has; the first token has none.
 *
 * @param first index of the first position among the sequence's tokens
 * @param rows logits of one position after the other
 */
export function collectPromptLogprobs(
  sequence: Sequence,
  first: number,
  rows: readonly Float32Array[],
  sampler: Sampler,
): void {
  const { request, promptLogprobs: collected, virtualLength } = sequence
  if (collected.length === 0) collected.push(null)
  for (const [i, row] of rows.entries()) {
    const index = first + i + 1 - virtualLength
    const next = request.tokens[index]
    // After a pause the prompt is evaluated again from its beginning.
    if (next === undefined || index !== collected.length) continue
    collected.push({ ...sampler.describe(row, next, request.logprobs ?? 0), rank: rankOf(row, next) })
  }
}

function rankOf(row: Float32Array, token: number): number {
  const own = row[token]!
  let better = 0
  for (let other = 0; other < row.length; other++) if (row[other]! > own) better += 1
  return better + 1
}
