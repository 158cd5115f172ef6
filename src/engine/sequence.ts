import type { GenerationRequest, TokenLogprob } from '../core/generation.ts'
import { PAGE_TOKENS } from '../device/port.ts'
import { PageKeys } from './page-keys.ts'
import type { SequenceConstraint } from './constraint.ts'
import type { MixUse, VirtualPrefix } from './held-adapters.ts'
import { RandomSource } from './random.ts'

/**
 * - `waiting`: never had pages
 * - `forking`: waits for the prompt that a sibling evaluates
 * - `running`: has pages and takes part in steps
 * - `paused`: had to give its pages back; goes on from what of them is still cached
 */
export type SequenceState = 'waiting' | 'forking' | 'running' | 'paused' | 'finished'

/** What a sequence begins with beside its request. */
export interface SequenceStart {
  readonly now: number
  readonly fingerprint: string
  readonly use: MixUse
  /** What the answer is held to; absent = nothing. */
  readonly constraint?: SequenceConstraint | null
}

/** First of the ids that stand for virtual tokens with given keys and values; no token of a vocabulary and no virtual embedding has them. */
const KEYS_VALUES_ID = -(2 ** 30)

/**
 * One sequence in the engine: what was asked, and how far it is.
 *
 *     tokens:   virtual │ prompt │ completion …
 *               └── cached ──┘└ pending ┘
 *                    └─────────── known ┘
 */
export class Sequence {
  readonly id: number
  readonly request: GenerationRequest
  readonly random: RandomSource
  readonly submittedAt: number
  /** Its hold on the versions of its mix. */
  readonly use: MixUse
  readonly virtual: VirtualPrefix | null
  /** Sequences with the same one run with the same numbers. */
  readonly mixKey: string
  /** Virtual tokens, prompt and completion so far; room for all that may come. */
  readonly tokens: Int32Array
  /** End of the prompt in `tokens`. */
  readonly promptEnd: number
  /** How many of `tokens` are known. */
  known: number
  /** How many of them have their keys and values in pages. */
  cached = 0
  /** Pages of the first `cached` tokens, and of those that the next step evaluates. */
  readonly pages: number[] = []
  /** Most tokens that were ever cached; more than `cached` after a pause. */
  furthest = 0
  /** How many of the pages were published. */
  published = 0
  /** Which table of a long rope rotates all of its tokens. */
  ropeTable = 0
  state: SequenceState = 'waiting'
  /** How often each token stands in the completion. */
  readonly counts = new Map<number, number>()
  /** Tokens of prompt and completion; kept only when the repetition penalty asks for it. */
  readonly seen: Set<number>
  /** Grows with the chunks of the prompt, when they were asked for. */
  readonly promptLogprobs: (TokenLogprob | null)[] = []
  /** Sequences that begin with the same prompt and wait for it. */
  readonly forks: Sequence[] = []
  /** How many later sequences got pages before this one. */
  overtaken = 0
  /** Tokens evaluated so far, again after a pause included. */
  evaluated = 0
  /** What the answer is held to; null = nothing. */
  readonly constraint: SequenceConstraint | null
  readonly #fingerprint: string
  #keys: PageKeys | null = null

  constructor(id: number, request: GenerationRequest, { now, fingerprint, use, constraint = null }: SequenceStart) {
    this.id = id
    this.request = request
    this.submittedAt = now
    this.use = use
    this.virtual = use.virtual
    this.constraint = constraint
    this.#fingerprint = fingerprint
    const members = request.mix.map(({ digest, scale }) => `${digest}*${scale}`)
    this.mixKey = [request.stack ?? false, ...members].join(' ')
    this.random = new RandomSource(request.sampling.seed)
    this.promptEnd = this.virtualLength + request.tokens.length
    this.tokens = new Int32Array(this.promptEnd + request.maxTokens)
    const first = this.virtual?.type === 'keys_values' ? KEYS_VALUES_ID : -1
    for (let i = 0; i < this.virtualLength; i++) this.tokens[i] = first - i
    this.tokens.set(request.tokens, this.virtualLength)
    this.known = this.promptEnd
    this.seen = new Set(request.sampling.repetitionPenalty === 1 ? [] : request.tokens)
  }

  get virtualLength(): number {
    return this.virtual?.count ?? 0
  }

  /** Virtual tokens that are written into pages and not evaluated. */
  get writtenLength(): number {
    return this.virtual?.type === 'keys_values' ? this.virtual.count : 0
  }

  /** Index of a token minus its position. */
  get ropeOffset(): number {
    return this.virtual !== null && !this.virtual.usePositions ? this.virtual.count : 0
  }

  /** Tokens that are known and not evaluated. */
  get pending(): number {
    return this.known - this.cached
  }

  /** Whether one token gives the next: all before it is evaluated. */
  get decodes(): boolean {
    return this.known > this.promptEnd && this.pending === 1
  }

  get generated(): Int32Array {
    return this.tokens.subarray(this.promptEnd, this.known)
  }

  /** Tokens that may be in pages at once: the last of the completion is never fed back. */
  get mostCached(): number {
    return this.promptEnd + Math.max(0, this.request.maxTokens - 1)
  }

  /** Whether log-probabilities of the prompt are still to be collected, so that all of it must be evaluated. */
  get wantsPrompt(): boolean {
    return this.request.promptLogprobs && this.known === this.promptEnd
  }

  /** Key of a page whose tokens are all known; null where nothing is shared. */
  keyOf(page: number): string | null {
    if (this.request.tenant === undefined || (page + 1) * PAGE_TOKENS > this.known) return null
    this.#keys ??= new PageKeys(this.#fingerprint, this.request, this.ropeTable, this.tokens)
    return this.#keys.of(page)
  }

  /** All pages are void: other rotations are needed. */
  rotateBy(table: number): void {
    this.ropeTable = table
    this.#keys = null
  }

  accept(token: number): void {
    this.tokens[this.known++] = token
    this.counts.set(token, (this.counts.get(token) ?? 0) + 1)
    if (this.request.sampling.repetitionPenalty !== 1) this.seen.add(token)
  }
}

/** Pages that so many tokens take. */
export function pagesFor(tokens: number): number {
  return Math.ceil(tokens / PAGE_TOKENS)
}
