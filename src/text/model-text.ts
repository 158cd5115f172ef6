import { TroupeError } from '../core/errors.ts'
import type { TemplateMessage } from './chat-template.ts'
import { ChatTemplate } from './chat-template.ts'
import { Detokenizer } from './detokenizer.ts'
import { StopStrings } from './stop-strings.ts'
import { Tokenizer, maxTextLength } from './tokenizer.ts'

/** Everything between text and tokens for one model. */
export class ModelText {
  readonly tokenizer: Tokenizer
  readonly chatTemplate: ChatTemplate
  /** Longest text that is encoded, in UTF-16 units. */
  readonly maxLength: number

  private constructor(tokenizer: Tokenizer, chatTemplate: ChatTemplate, maxContext: number) {
    this.tokenizer = tokenizer
    this.chatTemplate = chatTemplate
    this.maxLength = maxTextLength(maxContext)
  }

  /** Throws `invalid_model` naming the file that is missing or wrong. */
  static async load(modelDir: string, maxContext: number): Promise<ModelText> {
    return new ModelText(await Tokenizer.load(modelDir), await ChatTemplate.load(modelDir), maxContext)
  }

  get eosIds(): readonly number[] {
    return this.tokenizer.eosIds
  }

  /** Throws `prompt_too_long` for a text that cannot fit, before time is spent on it. */
  encode(text: string, addSpecialTokens: boolean): number[] {
    if (text.length > this.maxLength)
      throw new TroupeError(
        'prompt_too_long',
        `the prompt has ${text.length} characters; more than ${this.maxLength} cannot fit into the context`,
        { param: 'prompt' },
      )
    return this.tokenizer.encode(text, { addSpecialTokens })
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

  detokenizer(): Detokenizer {
    return new Detokenizer(this.tokenizer)
  }

  stopStrings(stops: readonly string[]): StopStrings {
    return new StopStrings(stops)
  }

  /** The conversation as a prompt that ends where the answer begins. Throws `invalid_request` when the model has no template. */
  renderChat(messages: readonly TemplateMessage[]): string {
    return this.chatTemplate.render(messages)
  }
}
