/**
 * What is used of Hugging Face's packages. Their own declarations import without file extensions, which Node's module resolution
 * refuses, so that everything in them would be untyped.
 */
declare module '@huggingface/tokenizers' {
  /** Used for what it makes of an expression of Oniguruma. */
  export class SplitPreTokenizer {
    constructor(config: { type: 'Split'; pattern: { Regex: string }; invert: boolean })
    readonly pattern: RegExp | null
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
