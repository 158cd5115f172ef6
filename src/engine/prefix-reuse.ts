import type { EngineStats } from '../core/messages.ts'
import type { KvCache } from './kv-cache.ts'
import type { Positions } from './positions.ts'
import type { PrefixCache } from './prefix-cache.ts'
import { PREFIX_BLOCK } from './prefix-cache.ts'
import type { Sequence } from './sequence.ts'

/** Moves evaluated tokens between the slots and the prefix cache. */
export class PrefixReuse {
  readonly #cache: PrefixCache
  readonly #kv: KvCache
  readonly #positions: Positions

  constructor(cache: PrefixCache, kv: KvCache, positions: Positions) {
    this.#cache = cache
    this.#kv = kv
    this.#positions = positions
  }

  /**
   * Begins a sequence that has a slot with what earlier ones evaluated; at least its last prompt token is left, for the logits.
   * Prompts whose own log-probabilities are wanted need all logits and get nothing.
   *
   * @returns tokens that need not be evaluated
   */
  restore(sequence: Sequence): number {
    sequence.lookedUp = true
    const { request, row, promptLength } = sequence
    if (request.promptLogprobs || promptLength <= PREFIX_BLOCK) return 0
    const variant = this.#variantOf(sequence, promptLength)
    const blocks = this.#cache.find(request, request.tokens.subarray(0, promptLength - 1), variant)
    for (const layers of blocks) {
      this.#kv.write(row, sequence.kvLength, PREFIX_BLOCK, layers)
      sequence.cached += PREFIX_BLOCK
    }
    return sequence.cached
  }

  /** Keeps what a sequence has in its slot. */
  keep(sequence: Sequence): void {
    const { request, row, cached, promptLength } = sequence
    if (row < 0 || cached < Math.max(promptLength, PREFIX_BLOCK)) return
    const virtual = sequence.kvLength - cached
    const variant = this.#variantOf(sequence, cached)
    this.#cache.keep(request, sequence.cachedTokens(), variant, (start) =>
      this.#kv.read(row, virtual + start, PREFIX_BLOCK),
    )
  }

  stats(): Pick<EngineStats, Extract<keyof EngineStats, `prefix${string}`>> {
    const { bytes, budget, counters } = this.#cache
    return {
      prefixBytes: bytes,
      prefixBudgetBytes: budget,
      prefixLookedUpTokens: counters.lookedUp,
      prefixFoundTokens: counters.found,
      prefixEvictions: counters.evictions,
    }
  }

  /** @param known, tokens of the sequence, without virtual ones, when its cached ones were evaluated */
  #variantOf({ prefix }: Sequence, known: number): string {
    return `rope ${this.#positions.tableOf((prefix?.count ?? 0) + known)}`
  }
}
