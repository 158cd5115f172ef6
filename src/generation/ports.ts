import type { CallSyntax } from '../core/call-syntax.ts'
import type { GenerationEvent, GenerationRequest } from '../core/generation.ts'
import type { JsonObject } from '../core/json.ts'
import type { EngineStats } from '../core/messages.ts'
import type { ModelInfo } from '../core/model-info.ts'
import type { OwnTokens } from '../core/own-tokens.ts'
import type { GrammarCompiler } from '../grammar/compiler.ts'
import type { Catalogue } from '../catalogue/catalogue.ts'
import type { Residency } from '../residency/residency.ts'
import type { Logger } from '../telemetry/log.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { SamplingWish } from './sampling.ts'
import type { Admission } from '../tenancy/admission.ts'

/** What generation needs of the engine. */
export interface GenerationEngine {
  readonly info: ModelInfo
  generate(request: GenerationRequest, signal?: AbortSignal): AsyncIterable<GenerationEvent>
  /** `count` sequences of one prompt, which is evaluated once; each has a seed one larger than the one before. All are to be read or left. */
  generateEach(
    request: GenerationRequest,
    count: number,
    signal?: AbortSignal,
  ): readonly AsyncIterable<GenerationEvent>[]
  stats(): Promise<EngineStats>
}

/** A message of a conversation as the chat template sees it. */
export interface ChatMessage {
  readonly role: string
  readonly content: string
  readonly name?: string
  readonly tool_calls?: readonly JsonObject[]
  readonly tool_call_id?: string
  readonly reasoning_content?: string
}

export interface ChatOptions {
  /** Default true. */
  readonly addGenerationPrompt?: boolean
  readonly tools?: readonly JsonObject[]
  readonly documents?: readonly JsonObject[]
  readonly variables?: JsonObject
}

/** Takes calls of tools out of an answer that comes in pieces; `arguments` is a JSON object as text. */
export interface CallScanner {
  push(piece: string): ScannedCalls
  /** What is still held back. */
  flush(): ScannedCalls
}

export interface ScannedCalls {
  readonly text: string
  readonly calls: readonly { readonly name: string; readonly arguments: string }[]
}

/** Turns tokens of one sequence into text as they come; incomplete characters are held back. */
export interface TokenText {
  push(token: number): string
  /** What is still held back, incomplete characters as U+FFFD. */
  flush(): string
}

/** Looks for stop strings in text that comes in pieces; what could begin one is held back. */
export interface StopScanner {
  /** `text` is final; `stopped` = a stop string came right after it. */
  push(piece: string): { readonly text: string; readonly stopped: boolean; readonly stop: string | null }
  /** What is still held back. */
  flush(): string
}

/** What generation needs of tokenizer and chat template. */
export interface TextPort {
  /** The text of a mix: with the tokens that its adapters have of their own. */
  of(members: readonly { readonly digest: string; readonly tokens?: OwnTokens }[]): TextPort
  /** Tokens that end a sequence. */
  readonly eosIds: readonly number[]
  /** All special tokens. */
  readonly specialIds: readonly number[]
  /**
   * Throws `context_length_exceeded` for a text that cannot fit, before time is spent on it.
   *
   * @param mark what `inert` put into the text
   */
  encode(text: string, addSpecialTokens: boolean, mark?: string | null): readonly number[]
  /** Outside texts in which special tokens stay text once `encode` is told the mark; null = there were none. */
  inert<T>(value: T): { readonly value: T; readonly mark: string | null }
  /** The text of tokens, special tokens left out. */
  decode(tokens: readonly number[]): string
  /** The text of a single token, special tokens shown. */
  tokenText(token: number): string
  /** The UTF-8 bytes of a single token; several tokens may share a character. */
  tokenBytes(token: number): Uint8Array
  /** `shown` are special tokens that become text nevertheless. */
  detokenizer(shown?: readonly number[]): TokenText
  stopStrings(stops: readonly string[]): StopScanner
  /** The conversation as a prompt that ends where the answer begins. Throws `invalid_request` when the model has no template for it. */
  renderChat(messages: readonly ChatMessage[], options?: ChatOptions): string
  /** Whether the model's template makes anything of a variable. */
  templateReads(variable: string): boolean
  /** Special tokens that calls of tools are written with. */
  readonly toolMarkers: readonly number[]
  /** How the model writes calls; null when its way is not known. */
  readonly callSyntax: CallSyntax | null
  /** `begun` = what of the answer stands in the prompt. Null when the model's way of writing calls is not known: they stay text. */
  toolScanner(names: ReadonlySet<string>, begun?: string): CallScanner | null
}

/** What generation is built from. */
export interface GenerationParts {
  readonly engine: GenerationEngine
  readonly catalogue: Pick<Catalogue, 'resolve'>
  readonly residency: Pick<Residency, 'claim' | 'acquire' | 'prefetch'>
  readonly text: TextPort
  readonly grammars: Pick<GrammarCompiler, 'compile'>
  readonly admission: Admission
  readonly metrics: Metrics
  readonly log: Logger
  readonly settings: GenerationSettings
  /** How the base model's makers sample from it. */
  readonly modelDefaults: SamplingWish
}

export interface GenerationSettings {
  /** Longest prompt + completion of one sequence, in tokens. */
  readonly maxContext: number
  /** Put the prompts' texts into the log. */
  readonly logPrompts: boolean
}
