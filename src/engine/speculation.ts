import { LRUCache } from 'lru-cache'
import type { GenerationRequest } from '../core/generation.ts'
import type { Positions } from './positions.ts'
import type { Draft } from './prompt-lookup.ts'
import { AnswerMemory, PromptLookup } from './prompt-lookup.ts'
import type { Sequence } from './sequence.ts'

/** With more rows a step for all of them is always better than a call for each. */
const MOST_ROWS = 4
/** Tenants and mixes whose answers are remembered, about 80 kB each. */
const MEMORIES = 128
const COST_PACE = 1 / 16
/** Taken for the cost of a token until calls have been timed: a machine that computes slowly. */
const FIRST_COST = 0.5
/** A sure draft is always tried, so that a wrong cost does not stay. */
const HIGHEST_COST = 0.8

/**
 * Speculative decoding (Leviathan et al. 2023) for greedy sequences: drafts from prompt lookup, each verified in a call of its own that
 * evaluates all of the draft at once. Decides when that is better than the usual step.
 */
export class Speculation {
  readonly counters = { draftedTokens: 0, acceptedTokens: 0 }
  readonly #most: number
  readonly #positions: Positions
  readonly #lookups = new WeakMap<Sequence, PromptLookup>()
  readonly #memories = new LRUCache<string, AnswerMemory>({ max: MEMORIES })
  /** Seconds of a call with one token. */
  #single = 0
  /** Part of that which one more token adds. */
  #cost = FIRST_COST

  /** @param most drafted tokens of one call; 0 = no speculation */
  constructor(most: number, positions: Positions) {
    this.#most = most
    this.#positions = positions
  }

  /**
   * A draft for each of the decoding sequences, to be verified one after the other; null when one step for all of them is better.
   * It is unless every one of them gets more tokens for its time: no row waits for what others gain.
   */
  draft(sequences: readonly Sequence[]): readonly (readonly number[])[] | null {
    const able = sequences.every(({ request }) => request.sampling.temperature === 0)
    if (this.#most === 0 || sequences.length > MOST_ROWS || !able) return null
    const drafts = sequences.map((sequence) => this.#draftOf(sequence))
    const step = this.#timeOf(sequences.length)
    const calls = drafts.reduce((sum, { tokens }) => sum + this.#timeOf(1 + tokens.length), 0)
    const better = drafts.every(({ tokens, expected }) => tokens.length > 0 && (1 + expected) * step > calls)
    return better ? drafts.map(({ tokens }) => tokens) : null
  }

  /** Learns from a call what one more token costs, of a draft or of another row. */
  observe(tokens: number, seconds: number): void {
    if (tokens > Math.max(MOST_ROWS, 1 + this.#most)) return
    if (tokens === 1) this.#single += (seconds - this.#single) * (this.#single === 0 ? 1 : COST_PACE)
    else if (this.#single > 0) {
      const cost = (seconds / this.#single - 1) / (tokens - 1)
      this.#cost += (Math.min(HIGHEST_COST, Math.max(0, cost)) - this.#cost) * COST_PACE
    }
  }

  /** Of a call, as a multiple of one with a single token. */
  #timeOf(tokens: number): number {
    return 1 + this.#cost * (tokens - 1)
  }

  #draftOf(sequence: Sequence): Draft {
    const { request, generated, promptLength, kvLength } = sequence
    let lookup = this.#lookups.get(sequence)
    if (lookup === undefined) {
      lookup = new PromptLookup(request.tokens, promptLength + request.maxTokens, this.#memoryOf(request))
      this.#lookups.set(sequence, lookup)
    }
    while (lookup.length < promptLength + generated.length) lookup.append(generated[lookup.length - promptLength]!)
    // The last token comes out of a call, it is never fed.
    const most = Math.min(this.#most, request.maxTokens - generated.length - 1)
    // All tokens of a call are rotated by one table.
    const [first, last] = [kvLength + 1, kvLength + 1 + most].map((known) => this.#positions.tableOf(known))
    return lookup.draft(first === last ? most : 0, this.#cost)
  }

  /** As for the prefix cache, nothing is shared across tenants or mixes: drafts show in the time an answer takes. */
  #memoryOf({ tenant, mix, stack }: GenerationRequest): AnswerMemory {
    if (tenant === undefined) return new AnswerMemory()
    const key = JSON.stringify([tenant, mix.map(({ digest, scale }) => [digest, scale]), stack ?? false])
    const memory = this.#memories.get(key) ?? new AnswerMemory()
    this.#memories.set(key, memory)
    return memory
  }
}
