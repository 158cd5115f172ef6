import { describe } from './sampler.ts'
import type { Sequence } from './sequence.ts'

/**
 * Adds the log-probabilities of the prompt tokens that follow the positions just evaluated to those that the sequence has; the first token has
 * none.
 *
 * @param first position of the first row
 * @param logits `[count, vocab]`
 */
export function collectPromptLogprobs(sequence: Sequence, first: number, count: number, logits: Float32Array): void {
  const { tokens, logprobs } = sequence.request
  const collected = sequence.promptLogprobs
  const vocab = logits.length / count
  if (collected.length === 0) collected.push(null)
  for (let i = 0; i < count; i++) {
    const next = tokens[first + i + 1]
    if (next !== undefined) collected.push(describe(logits.subarray(i * vocab, (i + 1) * vocab), next, logprobs ?? 0))
  }
}
