import type { MixEntry } from './branch.ts'
import type { Constraint } from './constraint.ts'
import type { ErrorCode } from './errors.ts'

/** How the next token is chosen. Neutral values switch a step off. */
export interface Sampling {
  /** 0 = greedy. */
  readonly temperature: number
  /** 0 = off. */
  readonly topK: number
  /** 1 = off. */
  readonly topP: number
  /** 0 = off. */
  readonly minP: number
  /** 1 = off; applies to prompt and completion (CTRL, Keskar et al. 2019). */
  readonly repetitionPenalty: number
  /** 0 = off; applies to the completion only (OpenAI's definition). */
  readonly presencePenalty: number
  /** 0 = off; applies to the completion only (OpenAI's definition). */
  readonly frequencyPenalty: number
  /** Added to the logits of single tokens. */
  readonly logitBias: Readonly<Record<number, number>> | null
  /** Same seed, same request, same version: same tokens. */
  readonly seed: number
}

export const GREEDY: Sampling = {
  temperature: 0,
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
  logitBias: null,
  seed: 0,
}

/** One sequence for the engine: token ids in, token ids out. */
export interface GenerationRequest {
  readonly tokens: Int32Array
  /** Every digest must be held by the engine (see `Engine.hold`); empty = base. */
  readonly mix: readonly MixEntry[]
  /** Bottleneck modules of the mix follow each other in its order, at most `MAX_STACK`; without it all read the same and are added. */
  readonly stack?: boolean
  readonly sampling: Sampling
  /** 0 = only evaluate the prompt. */
  readonly maxTokens: number
  /** Ending tokens; the ending token itself is not emitted. */
  readonly stopTokens: readonly number[]
  /** What the answer is held to; absent = any text. */
  readonly constraint?: Constraint
  /** Log-probabilities of this many alternatives per token; null = none at all, 0 = only the chosen token's. */
  readonly logprobs: number | null
  /** Also report log-probabilities of the prompt's own tokens. */
  readonly promptLogprobs: boolean
  /** Whose prompts may share what was evaluated; absent = this prompt is neither looked up nor kept. */
  readonly tenant?: string
  /** Runs only when no other sequence waits. */
  readonly background?: boolean
  /** Its tenant's share among those of others; absent = 1. */
  readonly weight?: number
  /** What a policy may go by besides: larger comes first; absent = 0. */
  readonly priority?: number
  /** Milliseconds from its submission in which it should be done. */
  readonly deadline?: number
}

export interface TokenLogprob {
  readonly token: number
  readonly logprob: number
  /** The best alternatives, best first; natural logarithms. */
  readonly top: readonly { readonly token: number; readonly logprob: number }[]
  /** Of a prompt's token: its place among all tokens, from 1 on. */
  readonly rank?: number
}

/** Where a version's weights were when its request was admitted. */
export type Tier = 'hot' | 'warm' | 'cold'

export type FinishReason = 'stop' | 'length' | 'cancelled' | 'error'

export type GenerationEvent =
  /** The sequence left the queue. */
  | { readonly type: 'started'; readonly queueMs: number }
  /** So many more of the prompt's first tokens were evaluated for another request. */
  | { readonly type: 'reused'; readonly tokens: number }
  /** One entry per prompt token; the first has no predecessor and is null. */
  | { readonly type: 'prompt'; readonly logprobs: readonly (TokenLogprob | null)[] }
  | { readonly type: 'token'; readonly token: number; readonly logprob: TokenLogprob | null }
  /** With reason `error`: what kind of error it is, and the message. */
  | {
      readonly type: 'finish'
      readonly reason: FinishReason
      readonly code?: ErrorCode
      readonly message?: string
    }
