import { LRUCache } from 'lru-cache'
import type { CallSyntax } from '../core/call-syntax.ts'
import { MARKER_BYTE } from '../core/call-syntax.ts'
import { TroupeError } from '../core/errors.ts'
import type { OwnTokens } from '../core/own-tokens.ts'
import type { ChatOptions, TemplateMessage } from './chat-template.ts'
import { ChatTemplate } from './chat-template.ts'
import { Detokenizer } from './detokenizer.ts'
import type { Inert } from './inert.ts'
import { StopStrings } from './stop-strings.ts'
import { Tokenizer, maxTextLength } from './tokenizer.ts'
import { ToolScanner } from './tool-calls/tool-scanner.ts'

/** Mixes with tokens of their own whose tokenizers are kept. */
const MAX_MIXES = 64
const NO_BYTES = new Uint8Array(0)

/** Everything between text and tokens for one model. */
export class ModelText {
  readonly tokenizer: Tokenizer
  readonly chatTemplate: ChatTemplate
  /** Longest text that is encoded, in UTF-16 units. */
  readonly maxLength: number

  readonly maxContext: number
  readonly #mixes = new LRUCache<string, ModelText>({ max: MAX_MIXES })

  private constructor(tokenizer: Tokenizer, chatTemplate: ChatTemplate, maxContext: number) {
    this.maxContext = maxContext
    this.tokenizer = tokenizer
    this.chatTemplate = chatTemplate
    this.maxLength = maxTextLength(maxContext)
  }

  /** Throws `invalid_model` naming the file that is missing or wrong. */
  static async load(modelDir: string, maxContext: number): Promise<ModelText> {
    return new ModelText(await Tokenizer.load(modelDir), await ChatTemplate.load(modelDir), maxContext)
  }

  /** The text of a mix: with the tokens that its adapters have of their own. */
  of(members: readonly { readonly digest: string; readonly tokens?: OwnTokens }[]): ModelText {
    const own = members.filter((one): one is typeof one & { readonly tokens: OwnTokens } => one.tokens !== undefined)
    if (own.every(({ tokens }) => tokens.added.length === 0 && tokens.ends.length === 0)) return this
    const key = own.map(({ digest }) => digest).join()
    const known = this.#mixes.get(key)
    if (known !== undefined) return known
    const tokenizer = this.tokenizer.extended(own.map(({ tokens }) => tokens))
    const text = new ModelText(tokenizer, this.chatTemplate, this.maxContext)
    this.#mixes.set(key, text)
    return text
  }

  get eosIds(): readonly number[] {
    return this.tokenizer.eosIds
  }

  /** Throws `context_length_exceeded` for a text that cannot fit, before time is spent on it. */
  encode(text: string, addSpecialTokens: boolean, mark: string | null = null): number[] {
    if (text.length > this.maxLength)
      throw new TroupeError(
        'context_length_exceeded',
        `this model's maximum context length is ${this.maxContext} tokens, but the prompt has ${text.length} characters, ` +
          `and more than ${this.maxLength} cannot fit: shorten it`,
        { param: 'prompt' },
      )
    return this.tokenizer.encode(text, { addSpecialTokens, mark })
  }

  /** Outside texts in which special tokens stay text; the mark goes to `encode`. */
  inert<T>(value: T): Inert<T> {
    return this.tokenizer.inert.of(value)
  }

  get specialIds(): readonly number[] {
    return [...this.tokenizer.specialIds]
  }

  /** The text of tokens, special tokens left out. */
  decode(tokens: readonly number[]): string {
    return this.tokenizer.decode(tokens)
  }

  /** The text of a single token, special tokens shown. */
  tokenText(token: number): string {
    return this.tokenizer.tokenText(token)
  }

  /** The UTF-8 bytes of a single token; several tokens may share a character. */
  tokenBytes(token: number): Uint8Array {
    return this.tokenizer.tokenBytes(token)
  }

  /** The UTF-8 bytes of all tokens below `size`, none for those that are no text; markers of calls are `MARKER_BYTE` and their number. */
  tokenBytesOf(size: number): { readonly text: Uint8Array; readonly starts: Int32Array; readonly size: number } {
    const { tokenizer } = this
    const usable = (id: number): boolean => id < tokenizer.vocabSize && !tokenizer.specialIds.has(id)
    const tokens = Array.from({ length: size }, (_, id) => (usable(id) ? tokenizer.tokenBytes(id) : NO_BYTES))
    for (const [index, marker] of (this.callSyntax?.markers ?? []).entries()) {
      const id = tokenizer.specialIdOf(marker)
      if (id !== null && id < size) tokens[id] = Uint8Array.of(MARKER_BYTE, index)
    }
    const starts = new Int32Array(size + 1)
    for (const [id, bytes] of tokens.entries()) starts[id + 1] = starts[id]! + bytes.length
    return { text: Buffer.concat(tokens), starts, size }
  }

  /** `shown` are special tokens that become text nevertheless. */
  detokenizer(shown: readonly number[] = []): Detokenizer {
    return new Detokenizer(this.tokenizer, { shown })
  }

  stopStrings(stops: readonly string[]): StopStrings {
    return new StopStrings(stops)
  }

  /**
   * The conversation as a prompt that ends where the answer begins, with the tools the model may call.
   * Throws `invalid_request` when the model has no template, or none for tools.
   */
  renderChat(messages: readonly TemplateMessage[], options: ChatOptions = {}): string {
    return this.chatTemplate.render(messages, options)
  }

  /** Whether the chat template makes anything of a variable. */
  templateReads(variable: string): boolean {
    return this.chatTemplate.reads(variable)
  }

  /** Special tokens that calls of tools are written with. */
  get toolMarkers(): readonly number[] {
    const markers = this.callSyntax?.markers ?? []
    return markers.flatMap((marker) => this.tokenizer.specialIdOf(marker) ?? [])
  }

  /** How the model writes calls; null when the template shows no form of calls that is known. */
  get callSyntax(): CallSyntax | null {
    return this.chatTemplate.toolFormat?.syntax ?? null
  }

  /**
   * Takes calls of the named functions out of an answer; null when the template shows no form of calls that is known.
   *
   * @param begun what of the answer stands at the end of the prompt
   */
  toolScanner(names: ReadonlySet<string>, begun = ''): ToolScanner | null {
    const format = this.chatTemplate.toolFormat
    return format && new ToolScanner(format, names, begun)
  }
}
