import type { Sampling, TokenLogprob } from '../core/generation.ts'
import type { LogitTools } from '../device/port.ts'
import type { Sequence } from './sequence.ts'

/** How many of the best tokens are looked at first, then more, then all. */
const FIRST_CANDIDATES = 64
const MORE_CANDIDATES = 16

export interface Sample {
  readonly token: number
  readonly logprob: TokenLogprob | null
}

/** Chooses tokens from rows of logits. */
export class Sampler {
  readonly #tools: LogitTools
  #changed = new Float32Array(0)
  #scaled = new Float32Array(0)

  constructor(tools: LogitTools) {
    this.#tools = tools
  }

  /**
   * Chooses the next token of a sequence and reports log-probabilities when asked. Order: what the answer is held to, penalties and bias, then greedy, or temperature, top-k, top-p,
   * min-p and one draw. The reported log-probabilities are the model's own, before all of this.
   *
   * @throws Error when the row has no number that could be chosen
   */
  sample(row: Float32Array, sequence: Sequence): Sample {
    const { sampling, logprobs } = sequence.request
    const adjusted = this.#adjust(row, sequence)
    const token = sampling.temperature === 0 ? this.#tools.argmax(adjusted, null) : this.#draw(adjusted, sequence)
    if (token < 0 || Number.isNaN(row[token])) throw new Error('the model gave logits that are not numbers')
    return { token, logprob: logprobs === null ? null : this.describe(row, token, logprobs) }
  }

  /** Log-probability of a given token, with the best `count` alternatives. */
  describe(row: Float32Array, token: number, count: number): TokenLogprob {
    const normaliser = this.#tools.logSumExp(row)
    const top = [...this.#best(row, count)].map((id) => ({ token: id, logprob: row[id]! - normaliser }))
    return { token, logprob: row[token]! - normaliser, top }
  }

  /** A row after constraint, penalties and bias; the row itself where there are none. */
  #adjust(row: Float32Array, { request, seen, counts, constraint }: Sequence): Float32Array {
    const { repetitionPenalty, presencePenalty, frequencyPenalty, logitBias } = request.sampling
    const counted = presencePenalty !== 0 || frequencyPenalty !== 0
    if (constraint === null && repetitionPenalty === 1 && !counted && logitBias === null) return row
    const changed = (this.#changed = sized(this.#changed, row.length))
    changed.set(row)
    constraint?.restrict(changed)
    if (repetitionPenalty !== 1)
      for (const token of seen) {
        const logit = changed[token]!
        changed[token] = logit > 0 ? logit / repetitionPenalty : logit * repetitionPenalty
      }
    if (counted) for (const [token, count] of counts) changed[token]! -= presencePenalty + frequencyPenalty * count
    if (logitBias !== null) for (const [token, bias] of Object.entries(logitBias)) changed[Number(token)]! += bias
    return changed
  }

  /** Walks from the best token on, so that only as many are sorted as are needed. */
  #draw(row: Float32Array, { request: { sampling }, random }: Sequence): number {
    const { temperature, topK, topP, minP } = sampling
    const best = this.#tools.argmax(row, null)
    const max = row[best]!
    if (best < 0 || !Number.isFinite(max)) return best
    const weightOf = (token: number): number => Math.exp((row[token]! - max) / temperature)
    const filtered = topK > 0 || topP < 1 || minP > 0
    const kept: number[] = []
    let mass = 0
    if (filtered) {
      const enough = topP < 1 ? topP * this.#mass(row, sampling, weightOf, max) : Infinity
      for (const token of this.#falling(row, topK)) {
        const weight = weightOf(token)
        if (weight < minP || weight === 0) break
        kept.push(token)
        mass += weight
        if (mass >= enough) break
      }
    } else mass = this.#mass(row, sampling, weightOf, max)
    let point = random.next() * mass
    for (const token of filtered ? kept : this.#falling(row, 0)) {
      point -= weightOf(token)
      if (point < 0) return token
    }
    return best
  }

  /** Sum of the weights of all tokens, or of the `topK` best. */
  #mass(row: Float32Array, { temperature, topK }: Sampling, weightOf: (token: number) => number, max: number): number {
    if (topK > 0) return [...this.#best(row, topK)].reduce((sum, token) => sum + weightOf(token), 0)
    const scaled = (this.#scaled = sized(this.#scaled, row.length))
    for (let token = 0; token < row.length; token++) scaled[token] = (row[token]! - max) / temperature
    return Math.exp(this.#tools.logSumExp(scaled))
  }

  /** Tokens in falling order of their logits, at most `count`; 0 = all. */
  *#falling(row: Float32Array, count: number): Generator<number> {
    const most = count === 0 ? row.length : Math.min(count, row.length)
    let seen = 0
    for (
      let looked = Math.min(most, FIRST_CANDIDATES);
      seen < most;
      looked = Math.min(most, looked * MORE_CANDIDATES)
    ) {
      const best = this.#best(row, looked)
      yield* best.subarray(seen)
      if (best.length < looked) return
      seen = looked
    }
  }

  #best(row: Float32Array, count: number): Int32Array {
    const ids = new Int32Array(Math.min(count, row.length))
    return ids.length === 0 ? ids : ids.subarray(0, this.#tools.largest(row, ids, null))
  }
}

function sized(array: Float32Array<ArrayBuffer>, length: number): Float32Array<ArrayBuffer> {
  return array.length === length ? array : new Float32Array(length)
}
