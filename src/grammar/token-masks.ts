import type { VocabularyData } from '../core/constraint.ts'
import { TroupeError } from '../core/errors.ts'
import type { State } from './automaton.ts'

/** One mask may take so long: sequences beside it wait. */
const MASK_MILLISECONDS = 2_000
const NODES_BETWEEN_LOOKS = 256

/** Computes and keeps which tokens may come next. One for a vocabulary and the ending tokens. */
export class TokenMasks {
  readonly vocabulary: VocabularyData
  readonly #words: number
  readonly #plain: Uint32Array
  readonly #kept: State[] = []
  #oldest = 0
  readonly #limit: number
  readonly counters = { hits: 0, computed: 0, milliseconds: 0 }

  /** @param bytes of memory for masks; the oldest are computed anew */
  constructor(vocabulary: VocabularyData, bytes: number) {
    this.vocabulary = vocabulary
    this.#words = Math.ceil(vocabulary.size / 32)
    this.#limit = Math.max(64, Math.floor(bytes / (this.#words * 4)))
    this.#plain = new Uint32Array(this.#words)
    for (const token of vocabulary.plain) this.#plain[token >> 5]! |= 1 << (token & 31)
  }

  /** Bit `token & 31` of word `token >> 5`: whether the token may come next. Shared: not to be changed. */
  of(state: State): Uint32Array {
    if (state.mask) {
      this.counters.hits++
      return state.mask
    }
    const started = performance.now()
    const mask = this.#compute(state)
    this.counters.computed++
    this.counters.milliseconds += performance.now() - started
    this.#keep(state)
    state.mask = mask
    return mask
  }

  /** Where the answer is after a token; null where it may not come. */
  after(state: State, token: number): State | null {
    const { text, starts } = this.vocabulary
    const [from, to] = [starts[token] ?? 0, starts[token + 1] ?? 0]
    if (from === to) return null
    let next: State | null = state
    for (let i = from; i < to && next; i++) next = next.step(text[i]!)
    return next
  }

  #compute(state: State): Uint32Array {
    const { plain, plainEnds, all, special } = this.vocabulary
    const free = state.plain
    const longest = plainEnds.length - 1
    if (free >= longest && longest > 0) {
      const mask = this.#plain.slice()
      walk(special, state, mask)
      return mask
    }
    const mask = new Uint32Array(this.#words)
    if (free > 0 && state.threads.length === 1) {
      const end = plainEnds[free]!
      for (let i = 0; i < end; i++) mask[plain[i]! >> 5]! |= 1 << (plain[i]! & 31)
      walk(special, state, mask)
    } else walk(all, state, mask)
    return mask
  }

  #keep(state: State): void {
    this.#kept.push(state)
    if (this.#kept.length - this.#oldest > this.#limit) this.#kept[this.#oldest++]!.mask = null
    if (this.#oldest < this.#limit) return
    this.#kept.splice(0, this.#oldest)
    this.#oldest = 0
  }
}

function walk({ bytes, depths, ends, first, tokens }: VocabularyData['all'], start: State, mask: Uint32Array): void {
  const path: State[] = [start]
  const until = performance.now() + MASK_MILLISECONDS
  for (let i = 0, looks = 1; i < bytes.length; looks++) {
    if (looks % NODES_BETWEEN_LOOKS === 0 && performance.now() > until)
      throw new TroupeError(
        'schema_too_complex',
        `what may come next takes longer than ${MASK_MILLISECONDS} ms to find: make the schema or grammar less ambiguous`,
      )
    const depth = depths[i]!
    const next = path[depth]!.step(bytes[i]!)
    if (next === null) {
      i = ends[i]!
      continue
    }
    path[depth + 1] = next
    for (let t = first[i]!; t < first[i + 1]!; t++) mask[tokens[t]! >> 5]! |= 1 << (tokens[t]! & 31)
    i++
  }
}
