import type { GenerationRequest, TokenLogprob } from '../core/generation.ts'
import type { SequenceConstraint } from './constraint.ts'
import type { KvPrefix } from './packed-adapter.ts'
import { RandomSource } from './random.ts'

/** One sequence in the engine: what was asked, and how far it is. */
export class Sequence {
  readonly id: number
  readonly request: GenerationRequest
  readonly random: RandomSource
  readonly submittedAt: number
  /** Prompt and completion tokens whose keys and values are in the cache. */
  cached = 0
  /** Completion so far. */
  readonly generated: number[] = []
  /** How often each token stands in the completion; kept only when a penalty asks for it. */
  readonly counts = new Map<number, number>()
  /** Distinct prompt tokens; built only when the repetition penalty asks for it. */
  readonly promptTokens: ReadonlySet<number>
  /** Grows with the chunks of the prompt, when they were asked for. */
  readonly promptLogprobs: (TokenLogprob | null)[] = []
  /** What the cache begins with, before the prompt. */
  readonly prefix: KvPrefix | null
  /** How many later sequences got a row before this one. */
  overtaken = 0
  /** Whether the prefix cache was asked for this prompt. */
  lookedUp = false
  /** Versions that it holds in the bank. */
  readonly pinned: string[] = []
  /** Slot of the KV cache; -1 while waiting. */
  row = -1
  finished = false
  /** What the answer is held to; null = nothing. */
  constraint: SequenceConstraint | null = null

  constructor(id: number, request: GenerationRequest, now: number, prefix: KvPrefix | null = null) {
    this.prefix = prefix
    this.id = id
    this.request = request
    this.submittedAt = now
    this.random = new RandomSource(request.sampling.seed)
    this.promptTokens = new Set(request.sampling.repetitionPenalty === 1 ? [] : request.tokens)
  }

  get promptLength(): number {
    return this.request.tokens.length
  }

  /** Tokens in the cache: virtual ones, prompt and completion. */
  get kvLength(): number {
    return (this.prefix?.count ?? 0) + this.cached
  }

  /** Tokens the KV cache must have room for: the last token of the completion is never fed back. */
  get capacityNeeded(): number {
    return (this.prefix?.count ?? 0) + this.promptLength + Math.max(0, this.request.maxTokens - 1)
  }

  get prefilled(): boolean {
    return this.cached >= this.promptLength
  }

  /** The token to feed in the next decode step. */
  get lastToken(): number {
    return this.generated[this.generated.length - 1]!
  }

  /** The tokens whose keys and values are in the cache, without virtual ones. */
  cachedTokens(): Int32Array {
    return Int32Array.from([...this.request.tokens, ...this.generated].slice(0, this.cached))
  }

  accept(token: number): void {
    this.generated.push(token)
    this.counts.set(token, (this.counts.get(token) ?? 0) + 1)
  }
}
