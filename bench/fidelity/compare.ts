/** How far one model's predictions are from another's on the same text. */
export interface Distance {
  /** Mean Kullback-Leibler divergence from the reference, in nats a token. */
  readonly divergence: number
  /** Share of positions with the same first choice, in per cent. */
  readonly agreement: number
  readonly perplexity: number
}

/** Sums distances over windows of text. */
export class DistanceSum {
  #positions = 0
  #divergence = 0
  #agreed = 0
  #loss = 0

  /**
   * @param reference logits `[tokens, vocab]`
   * @param found the same of the model that is compared
   * @param tokens the window; the last position's prediction has no token to compare with
   */
  add(reference: Float32Array, found: Float32Array, tokens: readonly number[]): void {
    const vocab = reference.length / tokens.length
    for (let i = 0; i + 1 < tokens.length; i++) {
      const p = logProbabilities(reference.subarray(i * vocab, (i + 1) * vocab))
      const q = logProbabilities(found.subarray(i * vocab, (i + 1) * vocab))
      for (let token = 0; token < vocab; token++) this.#divergence += Math.exp(p[token]!) * (p[token]! - q[token]!)
      if (firstChoice(p) === firstChoice(q)) this.#agreed++
      this.#loss -= q[tokens[i + 1]!]!
      this.#positions++
    }
  }

  result(): Distance {
    return {
      divergence: this.#divergence / this.#positions,
      agreement: (100 * this.#agreed) / this.#positions,
      perplexity: Math.exp(this.#loss / this.#positions),
    }
  }
}

function logProbabilities(logits: Float32Array): Float64Array {
  let largest = -Infinity
  for (const logit of logits) if (logit > largest) largest = logit
  let sum = 0
  for (const logit of logits) sum += Math.exp(logit - largest)
  const shift = largest + Math.log(sum)
  return Float64Array.from(logits, (logit) => logit - shift)
}

function firstChoice(values: Float64Array): number {
  let best = 0
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i
  return best
}
