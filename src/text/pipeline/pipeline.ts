import type { JsonObject } from '../../core/json.ts'
import type { AddedToken } from './added-tokens.ts'
import { AddedTokens, readAddedTokens } from './added-tokens.ts'
import { Bpe } from './bpe.ts'
import type { ByteStyle, Decoder } from './decoder.ts'
import { NO_DECODER, readDecoder } from './decoder.ts'
import type { Frame } from './frame.ts'
import { readFrame } from './frame.ts'
import { readNormalizer } from './normalizer.ts'
import { Part } from './part.ts'
import type { PreTokenizer } from './pre-tokenizer.ts'
import { readPreTokenizer } from './pre-tokenizer.ts'
import { Unigram } from './unigram.ts'
import type { TokenModel } from './vocabulary.ts'

/**
 * What a `tokenizer.json` describes: text → added tokens → normalizer → pre-tokenizer → model → frame, and back through the decoder, as
 * Python's `tokenizers` does it.
 */
export class TokenPipeline {
  readonly added: readonly AddedToken[]
  readonly byteStyle: ByteStyle
  /** Ids are below this. */
  readonly size: number

  readonly #tokens = new Map<number, string>()
  readonly #ids = new Map<string, number>()
  readonly #finder: AddedTokens
  readonly #preTokenizer: PreTokenizer | null
  readonly #model: TokenModel
  readonly #frame: Frame | null
  readonly #decoder: Decoder

  /** Throws a plain error that names the part which is unknown or wrong. */
  constructor(definition: JsonObject) {
    const root = new Part(definition, '')
    // Lengths and padding are the caller's business; transformers overrides both.
    root.ignore('version', 'truncation', 'padding')
    const normalizer = root.child('normalizer')
    const normalize = normalizer ? readNormalizer(normalizer) : (text: string) => text
    const preTokenizer = root.child('pre_tokenizer')
    this.#preTokenizer = preTokenizer && readPreTokenizer(preTokenizer)
    this.#model = readModel(root.child('model') ?? root.refuse('model is missing'))
    const frame = root.child('post_processor')
    this.#frame = frame && readFrame(frame)
    const decoder = root.child('decoder')
    this.#decoder = decoder ? readDecoder(decoder) : NO_DECODER
    this.byteStyle = this.#decoder.byteStyle
    const added = root.raw('added_tokens') === undefined ? [] : root.children('added_tokens')
    this.added = readAddedTokens(added, this.#model.vocabulary)
    root.close()
    this.#finder = new AddedTokens(this.added, normalize)
    for (const [token, id] of this.#model.vocabulary) this.#name(token, id)
    for (const { content, id, normalized } of this.added) {
      this.#name(content, id)
      // The library also writes these back in their normalized form.
      if (normalized) this.#tokens.set(id, normalize(content))
    }
    this.size = [...this.#tokens.keys()].reduce((most, id) => Math.max(most, id + 1), 0)
  }

  idOf(token: string): number | null {
    return this.#ids.get(token) ?? null
  }

  tokenOf(id: number): string | null {
    return this.#tokens.get(id) ?? null
  }

  /**
   * Token ids of a text, with the frame of the post-processor if asked.
   *
   * @param mark a character that keeps special tokens in the text from being found (see `InertTexts`); it becomes no token
   */
  encode(text: string, framed: boolean, mark: string | null = null): number[] {
    const ids: number[] = []
    // Half of a surrogate pair has no UTF-8.
    for (const section of this.#finder.split(text.replace(LONE_SURROGATE, '\uFFFD'))) {
      if (section.id !== null) ids.push(section.id)
      else {
        const plain = mark === null ? section : { ...section, text: section.text.replaceAll(mark, '') }
        for (const word of this.#words(plain)) for (const id of this.#model.encode(word)) ids.push(id)
      }
    }
    return framed && this.#frame ? [...this.#frame.before, ...ids, ...this.#frame.after] : ids
  }

  /** The text of tokens; ids without a token add nothing. */
  decode(ids: readonly number[]): string {
    const tokens = ids.map((id) => this.#tokens.get(id)).filter((token) => token !== undefined)
    return this.#decoder.steps.reduce<readonly string[]>((result, step) => step(result), tokens).join('')
  }

  #words(section: { readonly text: string; readonly first: boolean }): readonly string[] {
    if (section.text === '') return []
    return this.#preTokenizer ? this.#preTokenizer(section).map(({ text }) => text) : [section.text]
  }

  #name(token: string, id: number): void {
    this.#tokens.set(id, token)
    this.#ids.set(token, id)
  }
}

const LONE_SURROGATE = /\p{Surrogate}/gu

function readModel(part: Part): TokenModel {
  const model = modelOf(part)
  part.ignore('type')
  part.close()
  return model
}

function modelOf(part: Part): TokenModel {
  // Old files leave the type of a BPE out.
  const type = part.raw('type') === undefined && part.raw('merges') !== undefined ? 'BPE' : part.type
  if (type === 'BPE') return new Bpe(part)
  if (type === 'Unigram') return new Unigram(part)
  return part.refuseType(['BPE', 'Unigram'])
}
