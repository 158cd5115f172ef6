import { TextDecoder } from 'node:util'
import type { Tokenizer } from './tokenizer.ts'

/**
 * Text of one sequence as its tokens come: what `push` and `flush` return, joined, equals `decode` of all tokens. Bytes of an
 * incomplete character are held back. The cost of a token does not depend on how many came before.
 *
 * One difference, with byte fallback: where a run of byte tokens is no UTF-8, `decode` gives up all of the run, as the library does;
 * here the characters that were complete have been sent already and stay.
 */
export class Detokenizer {
  readonly #tokenizer: Tokenizer
  readonly #skipped: ReadonlySet<number>
  readonly #bytes: TextDecoder
  /** Byte tokens came and the decoder may hold some of them back. */
  #inBytes = false
  /** The last token that counted: the context in which a decoder of words sees the next one. */
  #previous: number | null = null

  /** `shown` are special tokens that become text although the others are skipped. */
  constructor(
    tokenizer: Tokenizer,
    options: { readonly skipSpecialTokens?: boolean; readonly shown?: readonly number[] } = {},
  ) {
    this.#tokenizer = tokenizer
    const shown = new Set(options.shown)
    const skips = options.skipSpecialTokens ?? true
    this.#skipped = skips ? new Set([...tokenizer.specialIds].filter((id) => !shown.has(id))) : new Set()
    this.#bytes = new TextDecoder('utf-8', { ignoreBOM: true })
  }

  /** Takes the next token; returns the text that became final with it, often one word, sometimes nothing. */
  push(id: number): string {
    if (this.#skipped.has(id)) return ''
    const piece = this.#tokenizer.piece(id)
    if (piece.kind === 'nothing') return ''
    const text = piece.kind === 'bytes' ? this.#pushBytes(id, piece.bytes) : this.flush() + this.#wordText(id)
    this.#previous = id
    return text
  }

  /** What is still held back, incomplete characters as U+FFFD. */
  flush(): string {
    if (!this.#inBytes) return ''
    this.#inBytes = false
    return this.#bytes.decode()
  }

  #pushBytes(id: number, bytes: Uint8Array): string {
    this.#inBytes = true
    const text = this.#bytes.decode(bytes, { stream: true })
    // A decoder that drops the first space of a text also drops it when it comes as a byte.
    const first = this.#previous === null && this.#tokenizer.byteStyle === 'byte-fallback'
    return first && text === ' ' ? this.#wordText(id) : text
  }

  #wordText(id: number): string {
    const options = { skipSpecialTokens: false }
    if (this.#previous === null) return this.#tokenizer.decode([id], options)
    const before = this.#tokenizer.decode([this.#previous], options)
    return this.#tokenizer.decode([this.#previous, id], options).slice(before.length)
  }
}
