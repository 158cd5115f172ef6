import { TroupeError, messageOf } from '../core/errors.ts'
import type { JsonObject } from '../core/json.ts'
import type { AddedToken, OwnTokens } from '../core/own-tokens.ts'
import { InertTexts } from './inert.ts'
import { readModelJson, requireModelJson, tokenContent } from './model-files.ts'
import { byteLevelBytes, fallbackByte } from './pipeline/byte-level.ts'
import type { ByteStyle } from './pipeline/decoder.ts'
import { TokenPipeline } from './pipeline/pipeline.ts'

/** What one token adds to the text: whole text, or bytes that may be a part of a character. */
export type TokenPiece =
  { readonly kind: 'text' } | { readonly kind: 'bytes'; readonly bytes: Uint8Array } | { readonly kind: 'nothing' }

/** Tokens and text of one model: `tokenizer.json` and its companions. Stateless but for a bounded cache of words. */
export class Tokenizer {
  /** Ids are below this; the model's logits may be wider. */
  readonly vocabSize: number
  readonly specialIds: ReadonlySet<number>
  /** The token that begins a text; null where the model has none. */
  readonly bosId: number | null
  /** Tokens that end an answer. */
  readonly eosIds: readonly number[]
  readonly byteStyle: ByteStyle
  readonly inert: InertTexts

  readonly #pipeline: TokenPipeline

  private constructor(pipeline: TokenPipeline, bosId: number | null, eosIds: readonly number[]) {
    this.#pipeline = pipeline
    this.byteStyle = pipeline.byteStyle
    this.specialIds = new Set(pipeline.added.filter(({ special }) => special).map(({ id }) => id))
    this.inert = new InertTexts(pipeline.added.filter(({ special }) => special).map(({ content }) => content))
    this.vocabSize = pipeline.size
    this.bosId = bosId
    this.eosIds = eosIds
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
      return Tokenizer.#of(TokenPipeline.read(definition), config, eosIds)
    } catch (cause) {
      throw new TroupeError('invalid_model', `tokenizer.json of ${modelDir} cannot be used: ${messageOf(cause)}`, {
        param: 'tokenizer.json',
        cause,
      })
    }
  }

  static #of(pipeline: TokenPipeline, config: JsonObject, eosIds: readonly number[] | null): Tokenizer {
    const idOf = (token: unknown): number | null => {
      const content = tokenContent(token)
      return content === null ? null : pipeline.idOf(content)
    }
    const eosId = idOf(config.eos_token)
    return new Tokenizer(pipeline, idOf(config.bos_token), eosIds ?? (eosId === null ? [] : [eosId]))
  }

  /** The same with tokens of adapters; where two have the same id, the first one's counts. */
  extended(own: readonly Pick<OwnTokens, 'added' | 'ends'>[]): Tokenizer {
    const added = new Map<number, AddedToken>()
    for (const token of own.flatMap((one) => one.added)) if (!added.has(token.id)) added.set(token.id, token)
    const ends = new Set([...this.eosIds, ...own.flatMap((one) => one.ends)])
    return new Tokenizer(this.#pipeline.extended([...added.values()]), this.bosId, [...ends])
  }

  /**
   * Token ids of a text. Special tokens written in the text count as such, unless `inert` put its mark into them;
   * `addSpecialTokens` adds the model's frame (BOS).
   */
  encode(text: string, options: { readonly addSpecialTokens?: boolean; readonly mark?: string | null } = {}): number[] {
    return this.#pipeline.encode(text, options.addSpecialTokens ?? true, options.mark ?? null)
  }

  /** The text of tokens, incomplete characters as U+FFFD. Ids outside the vocabulary add nothing. */
  decode(ids: Iterable<number>, options: { readonly skipSpecialTokens?: boolean } = {}): string {
    const skip = options.skipSpecialTokens ?? true
    return this.#pipeline.decode([...ids].filter((id) => !(skip && this.specialIds.has(id))))
  }

  has(id: number): boolean {
    return this.#pipeline.tokenOf(id) !== null
  }

  /** Token of exactly this text; null = there is none. */
  idOf(content: string): number | null {
    return this.#pipeline.idOf(content)
  }

  /** The text of a token as the vocabulary has it; null = there is none of that id. */
  contentOf(id: number): string | null {
    return this.#pipeline.tokenOf(id)
  }

  /** The id of a special token; null when there is none of that text. */
  specialIdOf(content: string): number | null {
    const id = this.#pipeline.idOf(content)
    return id !== null && this.specialIds.has(id) ? id : null
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
    const token = this.#pipeline.tokenOf(id)
    if (token === null) return { kind: 'nothing' }
    if (this.byteStyle === 'byte-level') return { kind: 'bytes', bytes: byteLevelBytes(token) }
    const byte = this.byteStyle === 'byte-fallback' ? fallbackByte(token) : null
    return byte === null ? { kind: 'text' } : { kind: 'bytes', bytes: Uint8Array.of(byte) }
  }
}

/** A text longer than this cannot fit into the context (real tokens average 3 to 5 characters) and is not worth encoding. */
export function maxTextLength(maxContext: number): number {
  return maxContext * 32
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
