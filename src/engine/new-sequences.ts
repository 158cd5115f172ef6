import type { ErrorCode } from '../core/errors.ts'
import { messageOf } from '../core/errors.ts'
import type { GenerationRequest } from '../core/generation.ts'
import { PAGE_TOKENS } from '../device/port.ts'
import type { Constraints, SequenceConstraint } from './constraint.ts'
import type { HeldAdapters } from './held-adapters.ts'
import { Sequence, pagesFor } from './sequence.ts'

export interface SequenceLimits {
  readonly fingerprint: string
  readonly vocab: number
  readonly maxContext: number
  readonly kvPages: number
  readonly pageBytes: number
}

/** Why a request can never run. */
export interface Problem {
  readonly code: ErrorCode
  readonly message: string
}

/** Makes sequences of requests that can run. */
export class NewSequences {
  readonly #limits: SequenceLimits
  readonly #held: HeldAdapters
  readonly #constraints: Constraints

  constructor(limits: SequenceLimits, held: HeldAdapters, constraints: Constraints) {
    this.#limits = limits
    this.#held = held
    this.#constraints = constraints
  }

  /**
   * One sequence per id, each with a seed one larger than the one before. They hold the versions of their mix.
   *
   * @returns the first, with the others as its forks, or why none of them can run
   */
  make(ids: readonly number[], request: GenerationRequest, now: number): Sequence | Problem {
    const problem = this.#problemWith(request)
    if (problem !== null) return problem
    let constraints: readonly (SequenceConstraint | null)[]
    try {
      const { constraint, stopTokens } = request
      constraints = ids.map(() => (constraint === undefined ? null : this.#constraints.of(constraint, stopTokens)))
    } catch (error) {
      return { code: 'invalid_request', message: messageOf(error) }
    }
    const [first, ...forks] = ids.map((id, index) => {
      const sampling = { ...request.sampling, seed: request.sampling.seed + index }
      const use = this.#held.use(request.mix)
      const { fingerprint } = this.#limits
      return new Sequence(id, { ...request, sampling }, { now, fingerprint, use, constraint: constraints[index]! })
    })
    first!.forks.push(...forks)
    return first!
  }

  #problemWith(request: GenerationRequest): Problem | null {
    const { vocab, maxContext, kvPages, pageBytes } = this.#limits
    const { tokens, mix, maxTokens } = request
    if (tokens.length === 0) return { code: 'invalid_request', message: 'the prompt has no tokens' }
    const missing = this.#held.missing(mix)
    if (missing !== null) return { code: 'internal', message: `${missing} is not held by the engine` }
    const use = this.#held.use(mix)
    const [known, virtual] = [vocab + use.newTokens, use.virtual?.count ?? 0]
    use.release()
    const foreign = tokens.find((token) => token < 0 || token >= known)
    if (foreign !== undefined)
      return { code: 'invalid_request', message: `token ${foreign} is outside the vocabulary of ${known}` }
    // Tokens that a sequence may have in pages: the last of the completion is never fed back.
    const length = virtual + tokens.length + Math.max(0, maxTokens - 1)
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
}
