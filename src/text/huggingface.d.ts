/**
 * What is used of Hugging Face's packages. Their own declarations import without file extensions, which Node's module resolution
 * refuses, so that everything in them would be untyped.
 */
declare module '@huggingface/tokenizers' {
  export interface AddedToken {
    readonly id: number
    readonly content: string
    readonly special: boolean
  }

  export class Tokenizer {
    /** Contents of `tokenizer.json` and `tokenizer_config.json`. */
    constructor(definition: object, config: object)
    /** An id is undefined where neither the vocabulary nor an unknown token covers a piece. */
    encode(text: string, options?: { add_special_tokens?: boolean }): { readonly ids: readonly (number | undefined)[] }
    decode(
      ids: number[],
      options?: { skip_special_tokens?: boolean; clean_up_tokenization_spaces?: boolean | null },
    ): string
    token_to_id(token: string): number | undefined
    id_to_token(id: number): string | undefined
    get_added_tokens_decoder(): Map<number, AddedToken>
    get_vocab(): Map<string, number>
  }
}

declare module '@huggingface/jinja' {
  export interface Token {
    readonly type: string
    readonly value: string
  }

  export interface Program {
    readonly type: 'Program'
  }

  export interface Statement {
    readonly type: string
  }

  export interface RuntimeValue {
    readonly type: string
    readonly value: unknown
  }

  export class Environment {
    set(name: string, value: unknown): RuntimeValue
  }

  export class Interpreter {
    constructor(environment: Environment)
    run(program: Program): RuntimeValue
    evaluate(statement: Statement | undefined, environment: Environment): RuntimeValue
  }

  export function tokenize(source: string, options: { lstrip_blocks: boolean; trim_blocks: boolean }): Token[]
  export function parse(tokens: Token[]): Program
}
