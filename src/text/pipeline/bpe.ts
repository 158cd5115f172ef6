import { LRUCache } from 'lru-cache'
import { fallbackToken } from './byte-level.ts'
import type { Part } from './part.ts'
import { MinHeap } from './min-heap.ts'
import type { TokenModel, Vocabulary } from './vocabulary.ts'
import { byteIds, vocabularyOf } from './vocabulary.ts'

/** Words longer than this are not remembered, in UTF-16 units. */
const MAX_CACHED_LENGTH = 256
const CACHED_WORDS = 10_000
/** A pair of ids as one number, and a rank with a position as one number: 2^26 of the second. */
const SPAN = 2 ** 26

/**
 * Byte-pair encoding (Sennrich, Haddow, Birch 2016): characters, then the pairs that were learned, earliest learned first, leftmost first.
 */
export class Bpe implements TokenModel {
  readonly vocabulary: Vocabulary
  /** Rank of a pair of ids. */
  readonly #ranks = new Map<number, number>()
  /** What the pair of a rank becomes. */
  readonly #merged: number[] = []
  readonly #unknown: number | null
  readonly #fuseUnknown: boolean
  readonly #ignoreMerges: boolean
  /** Ids of the tokens that stand for single bytes; null without byte fallback. */
  readonly #fallbacks: readonly (number | undefined)[] | null
  readonly #cache = new LRUCache<string, readonly number[]>({ max: CACHED_WORDS })

  constructor(part: Part) {
    this.vocabulary = vocabularyOf(part.object('vocab'))
    const unknown = part.raw('unk_token') === undefined ? null : part.text('unk_token')
    this.#unknown = unknown === null ? null : this.#idOf(unknown, 'unk_token')
    this.#fuseUnknown = part.flag('fuse_unk', false)
    this.#ignoreMerges = part.flag('ignore_merges', false)
    this.#fallbacks = part.flag('byte_fallback', false)
      ? Array.from({ length: 256 }, (_, byte) => this.vocabulary.get(fallbackToken(byte)))
      : null
    for (const affix of ['continuing_subword_prefix', 'end_of_word_suffix'])
      if ((part.raw(affix) ?? '') !== '') part.refuse(`${affix} is not supported`)
    if ((part.raw('dropout') ?? 0) !== 0) part.refuse('dropout would give other tokens every time: set it to null')
    part.list('merges').forEach((merge, line) => this.#addMerge(merge, line))
  }

  encode(word: string): readonly number[] {
    if (this.#ignoreMerges) {
      const whole = this.vocabulary.get(word)
      if (whole !== undefined) return [whole]
    }
    const cached = this.#cache.get(word)
    if (cached) return cached
    const ids = this.#merge(this.#characters(word))
    if (word.length < MAX_CACHED_LENGTH) this.#cache.set(word, ids)
    return ids
  }

  #addMerge(merge: unknown, line: number): void {
    const pair: unknown = typeof merge === 'string' ? merge.split(' ') : merge
    if (typeof merge === 'string' && merge.startsWith('#version')) return
    if (!Array.isArray(pair) || pair.length !== 2 || !pair.every((part) => typeof part === 'string'))
      throw new Error(`model.merges[${line}] is no pair of tokens`)
    const [left, right] = pair as [string, string]
    const rank = this.#merged.length
    this.#merged.push(this.#idOf(left + right, `merges[${line}]`))
    this.#ranks.set(this.#idOf(left, `merges[${line}]`) * SPAN + this.#idOf(right, `merges[${line}]`), rank)
  }

  #idOf(token: string, field: string): number {
    const id = this.vocabulary.get(token)
    if (id !== undefined) return id
    throw new Error(`model.${field}: ${JSON.stringify(token)} is not in the vocabulary`)
  }

  /** The ids of single characters, of their bytes where they have none, else the unknown token. */
  #characters(word: string): number[] {
    const ids: number[] = []
    // As in the library: an unknown character is added when the next known one comes, after bytes in between.
    let unknown = false
    for (const character of word) {
      const id = this.vocabulary.get(character)
      if (id !== undefined) {
        if (unknown) ids.push(this.#unknown!)
        unknown = false
        ids.push(id)
        continue
      }
      const bytes = this.#fallbacks && byteIds(character, this.#fallbacks)
      if (bytes) ids.push(...bytes)
      else if (this.#unknown !== null) {
        if (unknown && !this.#fuseUnknown) ids.push(this.#unknown)
        unknown = true
      }
    }
    if (unknown) ids.push(this.#unknown!)
    return ids
  }

  /** Merges neighbours, smallest rank first, then leftmost. Merged-away positions stay as gaps: O(n log n). */
  #merge(ids: number[]): readonly number[] {
    if (ids.length < 2) return ids
    const next = Int32Array.from(ids, (_, i) => (i + 1 < ids.length ? i + 1 : -1))
    const previous = Int32Array.from(ids, (_, i) => i - 1)
    const gone = new Uint8Array(ids.length)
    const heap = new MinHeap()
    const offer = (at: number): void => {
      const right = at < 0 ? -1 : next[at]!
      const rank = right < 0 ? undefined : this.#ranks.get(ids[at]! * SPAN + ids[right]!)
      if (rank !== undefined) heap.push(rank * SPAN + at)
    }
    for (let at = 0; at + 1 < ids.length; at++) offer(at)
    for (let entry = heap.pop(); entry !== undefined; entry = heap.pop()) {
      const at = entry % SPAN
      const right = next[at]!
      if (gone[at] || right < 0) continue
      const merged = this.#merged[Math.floor(entry / SPAN)]!
      const rank = this.#ranks.get(ids[at]! * SPAN + ids[right]!)
      // The pair that the entry was made for may be another by now.
      if (rank === undefined || this.#merged[rank] !== merged) continue
      ids[at] = merged
      gone[right] = 1
      next[at] = next[right]!
      if (next[at] >= 0) previous[next[at]] = at
      offer(previous[at]!)
      offer(at)
    }
    return ids.filter((_, i) => !gone[i])
  }
}
