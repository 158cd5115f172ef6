import type { JsonObject } from '../../core/json.ts'
import type { AddedToken } from '../../core/own-tokens.ts'
import { AddedTokens, readAddedTokens } from './added-tokens.ts'
import { Bpe } from './bpe.ts'
import type { ByteStyle, Decoder } from './decoder.ts'
import { NO_DECODER, readDecoder } from './decoder.ts'
import type { Frame } from './frame.ts'
import { readFrame } from './frame.ts'
import type { Normalizer } from './normalizer.ts'
import { readNormalizer } from './normalizer.ts'
import { Part } from './part.ts'
import type { PreTokenizer } from './pre-tokenizer.ts'
import { readPreTokenizer } from './pre-tokenizer.ts'
import { TokenNames } from './token-names.ts'
import { Unigram } from './unigram.ts'
import type { TokenModel } from './vocabulary.ts'

/** All but the names. */
interface Parts {
  readonly normalize: Normalizer
  readonly preTokenizer: PreTokenizer | null
  readonly model: TokenModel
  readonly frame: Frame | null
  readonly decoder: Decoder
}

/**
 * What a `tokenizer.json` describes: text → added tokens → normalizer → pre-tokenizer → model → frame, and back through the decoder, as
 * Python's `tokenizers` does it.
 */
export class TokenPipeline {
  readonly added: readonly AddedToken[]

  readonly #names: TokenNames
  readonly #finder: AddedTokens
  readonly #parts: Parts

  private constructor(parts: Parts, added: readonly AddedToken[], names: TokenNames) {
    this.#parts = parts
    this.added = added
    this.#names = names
    this.#finder = new AddedTokens(added, parts.normalize)
  }

  /** Throws a plain error that names the part which is unknown or wrong. */
  static read(definition: JsonObject): TokenPipeline {
    const root = new Part(definition, '')
    // Lengths and padding are the caller's business; transformers overrides both.
    root.ignore('version', 'truncation', 'padding')
    const normalizer = root.child('normalizer')
    const normalize = normalizer ? readNormalizer(normalizer) : (text: string) => text
    const preTokenizer = root.child('pre_tokenizer')
    const readPre = preTokenizer && readPreTokenizer(preTokenizer)
    const model = readModel(root.child('model') ?? root.refuse('model is missing'))
    const frame = root.child('post_processor')
    const readPost = frame && readFrame(frame)
    const decoder = root.child('decoder')
    const parts = {
      ...{ normalize, preTokenizer: readPre, model, frame: readPost },
      decoder: decoder ? readDecoder(decoder) : NO_DECODER,
    }
    const list = root.raw('added_tokens') === undefined ? [] : root.children('added_tokens')
    const added = readAddedTokens(list, model.vocabulary)
    root.close()
    const names = new TokenNames()
    for (const [token, id] of model.vocabulary) names.set(id, token)
    return new TokenPipeline(parts, added, named(names, added, normalize))
  }

  /** The same with more added tokens, which stand for those of the same id. */
  extended(more: readonly AddedToken[]): TokenPipeline {
    const own = new Set(more.map(({ id }) => id))
    const added = [...this.added.filter(({ id }) => !own.has(id)), ...more]
    return new TokenPipeline(this.#parts, added, named(new TokenNames(this.#names), more, this.#parts.normalize))
  }

  get byteStyle(): ByteStyle {
    return this.#parts.decoder.byteStyle
  }

  /** Ids are below this. */
  get size(): number {
    return this.#names.size
  }

  idOf(token: string): number | null {
    return this.#names.idOf(token)
  }

  tokenOf(id: number): string | null {
    return this.#names.textOf(id)
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
        for (const word of this.#words(plain)) for (const id of this.#parts.model.encode(word)) ids.push(id)
      }
    }
    const { frame } = this.#parts
    return framed && frame ? [...frame.before, ...ids, ...frame.after] : ids
  }

  /** The text of tokens; ids without a token add nothing. */
  decode(ids: readonly number[]): string {
    const tokens = ids.map((id) => this.#names.textOf(id)).filter((token) => token !== null)
    return this.#parts.decoder.steps.reduce<readonly string[]>((result, step) => step(result), tokens).join('')
  }

  #words(section: { readonly text: string; readonly first: boolean }): readonly string[] {
    if (section.text === '') return []
    const { preTokenizer } = this.#parts
    return preTokenizer ? preTokenizer(section).map(({ text }) => text) : [section.text]
  }
}

const LONE_SURROGATE = /\p{Surrogate}/gu

/** Gives added tokens their names; the library also writes them back in their normalized form. */
function named(names: TokenNames, added: readonly AddedToken[], normalize: Normalizer): TokenNames {
  for (const { content, id, normalized } of added) names.set(id, content, normalized ? normalize(content) : content)
  return names
}

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
