import { LRUCache } from 'lru-cache'
import type { GenerationRequest } from '../core/generation.ts'
import { AnswerMemory, PromptLookup } from './prompt-lookup.ts'
import type { Sequence } from './sequence.ts'
import type { StepCosts } from './step-costs.ts'

/** Tenants and mixes whose answers are remembered, about 80 kB each. */
const MEMORIES = 128
/** How much longer a step may become for rows that gain nothing by it. */
const MOST_STRETCH = 1.5

/**
 * Speculative decoding (Leviathan et al. 2023) for greedy sequences: drafts from prompt lookup, verified in the step that evaluates the rows anyway.
 * Decides when that is better than one token for each.
 */
export class Speculation {
  readonly counters = { draftedTokens: 0, acceptedTokens: 0 }
  readonly #most: number
  readonly #ropeTable: (tokens: number) => number
  readonly #costs: Pick<StepCosts, 'estimate'>
  readonly #lookups = new WeakMap<Sequence, PromptLookup>()
  readonly #memories = new LRUCache<string, AnswerMemory>({ max: MEMORIES })

  /** @param most drafted tokens of a sequence in one step; 0 = no speculation */
  constructor(most: number, ropeTable: (tokens: number) => number, costs: Pick<StepCosts, 'estimate'>) {
    this.#most = most
    this.#ropeTable = ropeTable
    this.#costs = costs
  }

  /**
   * Guesses for those of the rows that are worth it.
   *
   * @param room most tokens of all together
   */
  draft(rows: readonly Sequence[], room: number): ReadonlyMap<Sequence, readonly number[]> {
    if (this.#most === 0 || room === 0) return new Map()
    const drafted = rows.flatMap((sequence) => {
      const most = this.#mostFor(sequence)
      if (most === 0) return []
      const draft = this.#lookupOf(sequence).draft(most)
      return draft.tokens.length === 0 ? [] : [{ sequence, draft }]
    })
    const chances = drafted.map(({ draft }) => draft.chances)
    const lengths = chooseDrafts(rows.length, chances, room, this.#costs)
    return new Map(
      drafted.flatMap(({ sequence, draft }, i) =>
        lengths[i] === 0 ? [] : [[sequence, draft.tokens.slice(0, lengths[i])] as const],
      ),
    )
  }

  #mostFor({ request, known, ropeOffset, promptEnd }: Sequence): number {
    if (request.sampling.temperature !== 0) return 0
    // The last token comes out of a step, it is never fed.
    const most = Math.min(this.#most, request.maxTokens - (known - promptEnd) - 1)
    // All tokens of a step are rotated by one table.
    const [first, last] = [known, known + most].map((tokens) => this.#ropeTable(tokens - ropeOffset))
    return first === last ? most : 0
  }

  #lookupOf(sequence: Sequence): PromptLookup {
    const { request, generated } = sequence
    let lookup = this.#lookups.get(sequence)
    if (lookup === undefined) {
      lookup = new PromptLookup(request.tokens, request.tokens.length + request.maxTokens, this.#memoryOf(request))
      this.#lookups.set(sequence, lookup)
    }
    const begin = request.tokens.length
    while (lookup.length < begin + generated.length) lookup.append(generated[lookup.length - begin]!)
    return lookup
  }

  /** As with shared pages, nothing crosses tenants or mixes: drafts show in the time an answer takes. */
  #memoryOf({ tenant, mix, stack }: GenerationRequest): AnswerMemory {
    if (tenant === undefined) return new AnswerMemory()
    const key = JSON.stringify([tenant, mix.map(({ digest, scale }) => [digest, scale]), stack ?? false])
    const memory = this.#memories.get(key) ?? new AnswerMemory()
    this.#memories.set(key, memory)
    return memory
  }
}

/**
 * How many of its guessed tokens every row gets verified, so that the step gives most tokens for its time.
 *
 * @param rows of the step, with or without guesses
 * @param chances by row with guesses: the chance that a token and all before it come; falling
 * @param room most guessed tokens of all rows together
 * @returns by row with guesses, how many of them
 */
export function chooseDrafts(
  rows: number,
  chances: readonly (readonly number[])[],
  room: number,
  costs: Pick<StepCosts, 'estimate'>,
): readonly number[] {
  const plain = costs.estimate(rows)
  const lengths = chances.map(() => 0)
  if (plain === null) return lengths
  const guesses = chances.flatMap((row, index) => row.map((chance) => ({ index, chance })))
  // Stable: of equal chances the earlier token of a row comes first.
  guesses.sort((a, b) => b.chance - a.chance)
  const grown = lengths.slice()
  let gaining = 0
  let expected = rows
  let best = rows / plain
  for (const [i, { index, chance }] of guesses.slice(0, room).entries()) {
    if (grown[index]!++ === 0) gaining++
    expected += chance
    const seconds = costs.estimate(rows + i + 1)!
    if (gaining < rows && seconds > MOST_STRETCH * plain) continue
    if (expected / seconds <= best) continue
    best = expected / seconds
    for (const [row, length] of grown.entries()) lengths[row] = length
  }
  return lengths
}
