import type { TokenLogprob } from '../core/generation.ts'
import type { Sequence } from './sequence.ts'

interface Candidate {
  readonly token: number
  readonly logit: number
}

/**
 * Chooses the next token of a sequence from its logits `[vocab]` and reports log-probabilities when asked.
 * Order: what the answer is held to → penalties and bias → greedy, or temperature → top-k → top-p → min-p → draw. The reported log-probabilities are the model's own,
 * before all of this. A constraint changes `logits`.
 */
export function sample(logits: Float32Array, sequence: Sequence): { token: number; logprob: TokenLogprob | null } {
  const { sampling, logprobs } = sequence.request
  // Reported before penalties change the logits.
  const normaliser = logprobs === null ? 0 : logSumExp(logits)
  const top = logprobs ? largest(logits, logprobs).map((c) => ({ token: c.token, logprob: c.logit - normaliser })) : []
  sequence.constraint?.restrict(logits)
  const changed = penalised(logits, sequence)
  const token = sampling.temperature === 0 ? argMax(changed) : draw(changed, sequence)
  return { token, logprob: logprobs === null ? null : { token, logprob: logits[token]! - normaliser, top } }
}

/** Log-probability of a given token, with the best `count` alternatives. */
export function describe(logits: Float32Array, token: number, count: number): TokenLogprob {
  const normaliser = logSumExp(logits)
  const top = largest(logits, count).map((c) => ({ token: c.token, logprob: c.logit - normaliser }))
  return { token, logprob: logits[token]! - normaliser, top }
}

export function argMax(logits: Float32Array): number {
  let best = 0
  let bestLogit = logits[0]!
  for (let token = 1; token < logits.length; token++) {
    const logit = logits[token]!
    if (logit > bestLogit) {
      best = token
      bestLogit = logit
    }
  }
  return best
}

/** log Σ exp, stable. */
export function logSumExp(logits: Float32Array): number {
  const max = logits[argMax(logits)]!
  let sum = 0
  for (let token = 0; token < logits.length; token++) sum += Math.exp(logits[token]! - max)
  return max + Math.log(sum)
}

function penalised(logits: Float32Array, sequence: Sequence): Float32Array {
  const { repetitionPenalty, presencePenalty, frequencyPenalty, logitBias } = sequence.request.sampling
  const repeats = repetitionPenalty !== 1
  const counts = presencePenalty !== 0 || frequencyPenalty !== 0
  if (!repeats && !counts && logitBias === null) return logits
  const changed = logits.slice()
  if (repeats) {
    const seen = new Set([...sequence.promptTokens, ...sequence.counts.keys()])
    for (const token of seen) {
      const logit = changed[token]!
      changed[token] = logit > 0 ? logit / repetitionPenalty : logit * repetitionPenalty
    }
  }
  if (counts)
    for (const [token, count] of sequence.counts) changed[token]! -= presencePenalty + frequencyPenalty * count
  if (logitBias !== null) for (const [token, bias] of Object.entries(logitBias)) changed[Number(token)]! += bias
  return changed
}

function draw(logits: Float32Array, sequence: Sequence): number {
  const { temperature, topK, topP, minP } = sequence.request.sampling
  const filtered = topK > 0 || topP < 1
  const max = logits[argMax(logits)]!
  // Without top-k and top-p the order does not matter, and sorting a vocabulary is what costs.
  const candidates: Candidate[] =
    topK > 0
      ? largest(logits, topK)
      : Array.from(logits, (logit, token) => ({ token, logit })).filter((c) => Number.isFinite(c.logit))
  if (filtered && topK === 0) candidates.sort(byLogit)
  const weights = candidates.map((c) => Math.exp((c.logit - max) / temperature))
  let kept = weights.length
  if (topP < 1) {
    const target = topP * weights.reduce((sum, w) => sum + w, 0)
    let mass = 0
    for (kept = 0; kept < weights.length && mass < target; kept++) mass += weights[kept]!
    kept = Math.max(1, kept)
  }
  // The best candidate has weight 1, so min-p is a plain threshold.
  let total = 0
  for (let i = 0; i < kept; i++) {
    if (weights[i]! < minP) weights[i] = 0
    total += weights[i]!
  }
  let point = sequence.random.next() * total
  for (let i = 0; i < kept; i++) {
    point -= weights[i]!
    if (point < 0 && weights[i]! > 0) return candidates[i]!.token
  }
  return candidates[0]!.token
}

/** The `count` largest logits, best first; ties go to the smaller token. */
function largest(logits: Float32Array, count: number): Candidate[] {
  const best: Candidate[] = []
  if (count === 0) return best
  for (let token = 0; token < logits.length; token++) {
    const logit = logits[token]!
    if (best.length === count && !(logit > best[best.length - 1]!.logit)) continue
    let at = best.length
    while (at > 0 && logit > best[at - 1]!.logit) at--
    best.splice(at, 0, { token, logit })
    if (best.length > count) best.pop()
  }
  return best
}

function byLogit(a: Candidate, b: Candidate): number {
  return b.logit - a.logit || a.token - b.token
}
