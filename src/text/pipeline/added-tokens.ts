import type { AddedToken } from '../../core/own-tokens.ts'
import type { Normalizer } from './normalizer.ts'
import type { Part } from './part.ts'
import { WHITE_SPACE, WORD } from './pattern.ts'
import type { Piece } from './split.ts'
import type { Vocabulary } from './vocabulary.ts'

/** A part of the text that is a token already, or still text. */
export type Section = Piece & { readonly id: number | null }

/** Reads `added_tokens`. Throws for ids that the library would give to other tokens. */
export function readAddedTokens(parts: readonly Part[], vocabulary: Vocabulary): readonly AddedToken[] {
  const taken = new Map<string, number>()
  let next = vocabulary.size
  return parts.map((part) => {
    const content = part.text('content')
    const special = part.flag('special', false)
    const token = {
      id: part.count('id'),
      content,
      special,
      singleWord: part.flag('single_word', false),
      lstrip: part.flag('lstrip', false),
      rstrip: part.flag('rstrip', false),
      normalized: part.flag('normalized', !special),
    }
    part.close()
    if (content === '') part.refuse('content is empty')
    const expected = vocabulary.get(content) ?? taken.get(content) ?? next
    if (token.id !== expected)
      part.refuse(
        `${JSON.stringify(content)} has id ${token.id}, but the vocabulary makes it ${expected}: correct the id`,
      )
    taken.set(content, token.id)
    if (token.id === next) next += 1
    return token
  })
}

/** Finds added tokens in a text: those written as they are first, then, in the normalized rest, the others. */
export class AddedTokens {
  readonly #plain: TokenFinder
  readonly #normalized: TokenFinder
  readonly #normalize: Normalizer

  constructor(tokens: readonly AddedToken[], normalize: Normalizer) {
    this.#normalize = normalize
    // The library looks for special tokens before the others of the same text.
    const ordered = [...tokens.filter(({ special }) => special), ...tokens.filter(({ special }) => !special)]
    this.#plain = new TokenFinder(
      ordered.filter(({ normalized }) => !normalized).map((token) => [token.content, token]),
    )
    this.#normalized = new TokenFinder(
      ordered.filter(({ normalized }) => normalized).map((token) => [normalize(token.content), token]),
    )
  }

  /** The text in sections, those that are text normalized. */
  split(text: string): Section[] {
    return this.#plain.split({ text, first: true, id: null }).flatMap((section) => {
      if (section.id !== null) return [section]
      return this.#normalized.split({ ...section, text: this.#normalize(section.text) })
    })
  }
}

/** Looks for tokens by their text, leftmost first, then longest. */
class TokenFinder {
  readonly #tokens = new Map<string, AddedToken>()
  /** Lengths of the tokens by their first UTF-16 unit, longest first. */
  readonly #lengths = new Map<number, number[]>()

  constructor(tokens: readonly (readonly [string, AddedToken])[]) {
    for (const [text, token] of tokens) {
      if (text === '' || this.#tokens.has(text)) continue
      this.#tokens.set(text, token)
      const lengths = this.#lengths.get(text.charCodeAt(0)) ?? []
      if (!lengths.includes(text.length)) lengths.push(text.length)
      this.#lengths.set(
        text.charCodeAt(0),
        lengths.sort((a, b) => b - a),
      )
    }
  }

  split({ text, first }: Section): Section[] {
    const sections: Section[] = []
    let done = 0
    const add = (end: number, id: number | null, start = done): void => {
      if (end > start) sections.push({ text: text.slice(start, end), first: first && start === 0, id })
      done = end
    }
    for (let at = 0; at < text.length;) {
      const found = this.#at(text, at)
      if (!found) {
        at += 1
        continue
      }
      let [start, end] = [at, at + found.length]
      at = end
      const { token } = found
      if (token.singleWord && (isWord(before(text, start)) || isWord(text.slice(end, end + 2)))) continue
      if (token.lstrip) while (start > done && WHITE_SPACE.test(text[start - 1]!)) start--
      if (token.rstrip) while (end < text.length && WHITE_SPACE.test(text[end]!)) end++
      if (start > done) add(start, null)
      add(end, token.id, start)
    }
    if (done < text.length) add(text.length, null)
    return sections
  }

  #at(text: string, at: number): { token: AddedToken; length: number } | null {
    for (const length of this.#lengths.get(text.charCodeAt(at)) ?? []) {
      const token = this.#tokens.get(text.slice(at, at + length))
      if (token) return { token, length }
    }
    return null
  }
}

/** The character that ends at `end`. */
function before(text: string, end: number): string {
  const low = text.charCodeAt(end - 1)
  return text.slice(Math.max(0, end - (low >= 0xdc00 && low <= 0xdfff ? 2 : 1)), end)
}

function isWord(text: string): boolean {
  const [character] = text
  return character !== undefined && WORD.test(character)
}
