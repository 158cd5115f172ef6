import { fallbackToken } from './byte-level.ts'
import type { Part } from './part.ts'
import type { TokenModel } from './vocabulary.ts'
import { byteIds } from './vocabulary.ts'

/** An unknown character costs this much more than the least likely piece (SentencePiece). */
const UNKNOWN_PENALTY = 10

/** Unigram language model (Kudo 2018): the division into pieces with the highest sum of log-probabilities. */
export class Unigram implements TokenModel {
  readonly vocabulary = new Map<string, number>()
  readonly #scores: number[] = []
  readonly #unknown: number | null
  readonly #unknownScore: number
  readonly #fallbacks: readonly (number | undefined)[] | null
  /** Length of the longest piece by its first UTF-16 unit. */
  readonly #longest = new Map<number, number>()

  constructor(part: Part) {
    for (const [id, entry] of part.list('vocab').entries()) {
      const [piece, score] = Array.isArray(entry) ? (entry as readonly unknown[]) : []
      if (typeof piece !== 'string' || typeof score !== 'number')
        throw new Error(`model.vocab[${id}] is no pair of a text and a number`)
      this.vocabulary.set(piece, id)
      this.#scores.push(score)
      const first = piece.charCodeAt(0)
      this.#longest.set(first, Math.max(piece.length, this.#longest.get(first) ?? 0))
    }
    const unknown = part.raw('unk_id') === undefined ? null : part.count('unk_id')
    if (unknown !== null && unknown >= this.#scores.length)
      throw new Error(`model.unk_id is ${unknown}, the vocabulary has ${this.#scores.length} pieces`)
    this.#unknown = unknown
    this.#unknownScore = this.#scores.reduce((least, score) => Math.min(least, score), Infinity) - UNKNOWN_PENALTY
    this.#fallbacks = part.flag('byte_fallback', false)
      ? Array.from({ length: 256 }, (_, byte) => this.vocabulary.get(fallbackToken(byte)))
      : null
  }

  encode(word: string): readonly number[] {
    return this.#pieces(word).flatMap((piece) => {
      const id = this.vocabulary.get(piece)
      if (id !== undefined) return [id]
      return (this.#fallbacks && byteIds(piece, this.#fallbacks)) ?? [this.#requireUnknown()]
    })
  }

  /** The best division; neighbouring unknown characters are one piece. */
  #pieces(word: string): string[] {
    const { ids, starts } = this.#bestPath(word)
    const pieces: string[] = []
    let unknown = ''
    for (let end = word.length; end > 0; end = starts[end]!) {
      const piece = word.slice(starts[end], end)
      if (ids[end] === this.#unknown) {
        unknown = piece + unknown
        continue
      }
      if (unknown !== '') pieces.push(unknown)
      unknown = ''
      pieces.push(piece)
    }
    if (unknown !== '') pieces.push(unknown)
    return pieces.reverse()
  }

  /** For every end of a piece: the id of the last piece on the best path to it, and where that piece starts. Viterbi. */
  #bestPath(word: string): { ids: Int32Array; starts: Int32Array } {
    const ids = new Int32Array(word.length + 1).fill(-1)
    const starts = new Int32Array(word.length + 1).fill(-1)
    const scores = new Float64Array(word.length + 1)
    const offer = (start: number, end: number, id: number, score: number): void => {
      const total = scores[start]! + score
      if (starts[end]! >= 0 && total <= scores[end]!) return
      scores[end] = total
      starts[end] = start
      ids[end] = id
    }
    for (let start = 0; start < word.length;) {
      const width = word.codePointAt(start)! > 0xffff ? 2 : 1
      const most = Math.min(word.length - start, this.#longest.get(word.charCodeAt(start)) ?? 0)
      let single = false
      for (let length = 1; length <= most; length++) {
        const id = this.vocabulary.get(word.slice(start, start + length))
        if (id === undefined) continue
        offer(start, start + length, id, this.#scores[id]!)
        single ||= length === width
      }
      if (!single) offer(start, start + width, this.#requireUnknown(), this.#unknownScore)
      start += width
    }
    return { ids, starts }
  }

  #requireUnknown(): number {
    if (this.#unknown !== null) return this.#unknown
    throw new Error('model.unk_id is missing, and the vocabulary lacks a character of the text')
  }
}
