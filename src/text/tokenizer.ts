import { Tokenizer as Tokenization } from '@huggingface/tokenizers'
import { TroupeError } from '../core/errors.ts'
import type { JsonObject } from '../core/json.ts'
import { isJsonObject } from '../core/json.ts'
import { byteLevelBytes, fallbackByte } from './byte-level.ts'
import { readModelJson, requireModelJson, tokenContent } from './model-files.ts'

/** What one token adds to the text: whole text, or bytes that may be a part of a character. */
export type TokenPiece =
  { readonly kind: 'text' } | { readonly kind: 'bytes'; readonly bytes: Uint8Array } | { readonly kind: 'nothing' }

/** How the vocabulary writes bytes: every token is bytes, or single bytes stand in for what is missing (SentencePiece). */
export type ByteStyle = 'byte-level' | 'byte-fallback' | 'none'

/** Tokens and text of one model: `tokenizer.json` and its companions. Stateless but for the library's bounded cache. */
export class Tokenizer {
  /** Ids are below this; the model's logits may be wider. */
  readonly vocabSize: number
  readonly specialIds: ReadonlySet<number>
  /** The token that begins a text; null where the model has none. */
  readonly bosId: number | null
  /** Tokens that end an answer. */
  readonly eosIds: readonly number[]
  readonly byteStyle: ByteStyle

  readonly #library: Tokenization
  readonly #added: ReadonlySet<number>

  private constructor(
    library: Tokenization,
    byteStyle: ByteStyle,
    config: JsonObject,
    eosIds: readonly number[] | null,
  ) {
    this.#library = library
    this.byteStyle = byteStyle
    const added = library.get_added_tokens_decoder()
    this.#added = new Set(added.keys())
    this.specialIds = new Set([...added].filter(([, token]) => token.special).map(([id]) => id))
    this.vocabSize = [...library.get_vocab().values()].reduce((most, id) => Math.max(most, id + 1), 0)
    this.bosId = this.#idOf(config.bos_token)
    const eosId = this.#idOf(config.eos_token)
    this.eosIds = eosIds ?? (eosId === null ? [] : [eosId])
  }

  /**
   * Reads `tokenizer.json`, `tokenizer_config.json` and, for the ending tokens, `generation_config.json` and `config.json`.
   * Throws `invalid_model` naming the file that is missing or wrong.
   */
  static async load(modelDir: string): Promise<Tokenizer> {
    const definition = await requireModelJson(modelDir, 'tokenizer.json')
    const config = await requireModelJson(modelDir, 'tokenizer_config.json')
    const generation = await readModelJson(modelDir, 'generation_config.json')
    const model = tokenContent(config.eos_token) === null ? await readModelJson(modelDir, 'config.json') : null
    const eosIds =
      tokenIds(generation?.eos_token_id, 'generation_config.json') ?? tokenIds(model?.eos_token_id, 'config.json')
    try {
      // Parts may be left out of the file; the library wants them named.
      const parts = { normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null, added_tokens: [] }
      const library = new Tokenization({ ...parts, ...definition }, config)
      return new Tokenizer(library, byteStyleOf(definition.decoder), config, eosIds)
    } catch (cause) {
      const detail = cause instanceof Error ? cause.message : String(cause)
      throw new TroupeError('invalid_model', `tokenizer.json of ${modelDir} cannot be used: ${detail}`, {
        param: 'tokenizer.json',
        cause,
      })
    }
  }

  /** Token ids of a text. Special tokens written in the text count as such; `addSpecialTokens` adds the model's frame (BOS). */
  encode(text: string, options: { readonly addSpecialTokens?: boolean } = {}): number[] {
    const { ids } = this.#library.encode(text, { add_special_tokens: options.addSpecialTokens ?? true })
    return ids.filter((id) => id !== undefined)
  }

  /** The text of tokens, incomplete characters as U+FFFD. Ids outside the vocabulary add nothing. */
  decode(ids: Iterable<number>, options: { readonly skipSpecialTokens?: boolean } = {}): string {
    const skip = options.skipSpecialTokens ?? true
    const known = [...ids].filter((id) => this.has(id) && !(skip && this.specialIds.has(id)))
    if (known.length === 0) return ''
    return this.#library.decode(known, { skip_special_tokens: false, clean_up_tokenization_spaces: false })
  }

  has(id: number): boolean {
    return this.#library.id_to_token(id) !== undefined
  }

  /** The text of one token in the middle of a text, special tokens shown, incomplete characters as U+FFFD. */
  tokenText(id: number): string {
    // Some decoders drop the first space of a text: the token is seen after itself.
    const once = this.decode([id], { skipSpecialTokens: false })
    return this.decode([id, id], { skipSpecialTokens: false }).slice(once.length)
  }

  /** The UTF-8 bytes of one token; several tokens may share a character. */
  tokenBytes(id: number): Uint8Array {
    const piece = this.piece(id)
    return piece.kind === 'bytes' ? piece.bytes : new TextEncoder().encode(this.tokenText(id))
  }

  piece(id: number): TokenPiece {
    const token = this.#library.id_to_token(id)
    if (token === undefined) return { kind: 'nothing' }
    if (this.byteStyle === 'byte-level' && !this.#added.has(id)) return { kind: 'bytes', bytes: byteLevelBytes(token) }
    const byte = this.byteStyle === 'byte-fallback' ? fallbackByte(token) : null
    return byte === null ? { kind: 'text' } : { kind: 'bytes', bytes: Uint8Array.of(byte) }
  }

  #idOf(token: unknown): number | null {
    const content = tokenContent(token)
    return content === null ? null : (this.#library.token_to_id(content) ?? null)
  }
}

/** A text longer than this cannot fit into the context (real tokens average 3 to 5 characters) and is not worth encoding. */
export function maxTextLength(maxContext: number): number {
  return maxContext * 32
}

function byteStyleOf(decoder: unknown): ByteStyle {
  if (!isJsonObject(decoder)) return 'none'
  if (decoder.type === 'ByteLevel') return 'byte-level'
  const steps = Array.isArray(decoder.decoders) ? decoder.decoders.filter(isJsonObject) : []
  if (steps.some((step) => step.type === 'ByteLevel')) return 'byte-level'
  return decoder.type === 'ByteFallback' || steps.some((step) => step.type === 'ByteFallback')
    ? 'byte-fallback'
    : 'none'
}

function tokenIds(value: unknown, file: string): readonly number[] | null {
  if (value === undefined || value === null) return null
  const ids: readonly unknown[] = Array.isArray(value) ? value : [value]
  return ids.map((id) => {
    if (typeof id === 'number' && Number.isSafeInteger(id) && id >= 0) return id
    throw new TroupeError('invalid_model', `eos_token_id in ${file} must be a token id or a list of them`, {
      param: file,
    })
  })
}
