import { LRUCache } from 'lru-cache'
import type { Constraint } from '../core/constraint.ts'
import { TroupeError } from '../core/errors.ts'
import type { Automaton } from '../grammar/automaton.ts'
import { automatonOf } from '../grammar/grammar.ts'
import { TokenMasks } from '../grammar/token-masks.ts'
import { TokenMatcher } from '../grammar/token-matcher.ts'

/** Grammars whose states are kept, and bytes for masks of tokens. */
const MAX_GRAMMARS = 64
const MASK_BYTES = 64 * 2 ** 20

/** Holds one sequence to what its request says. */
export class SequenceConstraint {
  readonly #matcher: TokenMatcher
  readonly #ends: readonly number[]

  constructor(matcher: TokenMatcher, ends: readonly number[]) {
    this.#matcher = matcher
    this.#ends = ends
  }

  /** Takes the logits of all tokens that may not come next down to -∞, in place. */
  restrict(logits: Float32Array): void {
    const mask = this.#matcher.mask()
    const ends = this.#matcher.canEnd ? this.#ends.map((token) => [token, logits[token]!] as const) : []
    for (let word = 0; word * 32 < logits.length; word++) {
      const bits = mask[word] ?? 0
      if (bits === 0) {
        const first = word
        while (mask[word + 1] === 0) word++
        logits.fill(-Infinity, first * 32, (word + 1) * 32)
      } else
        for (let barred = ~bits; barred !== 0; barred &= barred - 1)
          logits[word * 32 + 31 - Math.clz32(barred & -barred)] = -Infinity
    }
    for (const [token, logit] of ends) logits[token] = logit
  }

  /** Takes the token that was chosen; false where it ends the answer. */
  accept(token: number): boolean {
    return this.#matcher.accept(token)
  }

  /** The answer is whole and nothing can follow. */
  get complete(): boolean {
    return this.#matcher.canEnd && this.#isLast
  }

  /** The answer is not whole and nothing can follow: a vocabulary that lacks what is due. */
  get stuck(): boolean {
    return !this.#matcher.canEnd && this.#isLast
  }

  get #isLast(): boolean {
    return this.#matcher.mask().every((bits) => bits === 0)
  }
}

/** The grammars in use on the engine thread: sequences with the same one share its states and masks. */
export class Constraints {
  readonly #automata = new LRUCache<string, Automaton>({ max: MAX_GRAMMARS })
  #masks: TokenMasks | null = null

  /** @throws TroupeError `invalid_request` when what the prompt begins of the answer does not fit the grammar */
  of(constraint: Constraint, stopTokens: readonly number[]): SequenceConstraint {
    const { digest, grammar, vocabulary, begun, endTokens } = constraint
    const automaton = this.#automata.get(digest) ?? automatonOf(grammar)
    this.#automata.set(digest, automaton)
    this.#masks ??= new TokenMasks(vocabulary, MASK_BYTES)
    const matcher = TokenMatcher.start(automaton, this.#masks, new TextEncoder().encode(begun))
    if (!matcher) throw new TroupeError('invalid_request', 'the answer cannot begin as the prompt begins it')
    return new SequenceConstraint(matcher, [...new Set([...endTokens, ...stopTokens])])
  }

  get stats(): { readonly maskHits: number; readonly masks: number; readonly maskSeconds: number } {
    const { hits, computed, milliseconds } = this.#masks?.counters ?? { hits: 0, computed: 0, milliseconds: 0 }
    return { maskHits: hits, masks: computed, maskSeconds: milliseconds / 1000 }
  }
}
