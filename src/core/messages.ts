import type { AdapterWeights } from './branch.ts'
import type { GenerationEvent, GenerationRequest } from './generation.ts'
import type { ModelInfo } from './model-info.ts'

/** How the engine thread is set up. Plain data. */
export interface EngineOptions {
  /** Folder of the prepared model. */
  readonly preparedDir: string
  readonly device: 'cpu'
  /** Slots: rows of the running batch. */
  readonly maxBatch: number
  /** KV capacity of one slot, in tokens. */
  readonly maxContext: number
  /** Prompt tokens evaluated per run, so that others' decoding is never held up for long. */
  readonly prefillChunk: number
  /** Budget of the bank. */
  readonly bankBytes: number
  /** Budget of the compiled graphs: those that must be there are, whatever it says. */
  readonly graphBytes: number
  /** Budget of the evaluated prompts kept for later requests; 0 = none. */
  readonly prefixCacheBytes: number
  /** Most drafted tokens verified in one call; 0 = no speculative decoding. */
  readonly speculation: number
  /** Threads of one ONNX Runtime call; 0 = physical cores. */
  readonly threads: number
}

/** Numbers for the metrics; counters grow from the start of the thread. */
export interface EngineStats {
  readonly queued: number
  readonly running: number
  readonly slots: number
  readonly kvTokens: number
  readonly kvCapacityTokens: number
  readonly bankBytes: number
  readonly bankBudgetBytes: number
  readonly bankVersions: number
  readonly bankLoads: number
  readonly bankHits: number
  readonly bankEvictions: number
  readonly graphs: number
  readonly graphBytes: number
  readonly prefixBytes: number
  readonly prefixBudgetBytes: number
  readonly prefixLookedUpTokens: number
  readonly prefixFoundTokens: number
  readonly prefixEvictions: number
  readonly decodeSteps: number
  readonly decodeRows: number
  readonly prefillRuns: number
  readonly prefillTokens: number
  readonly draftedTokens: number
  /** Drafted ones that the model chose too. */
  readonly acceptedTokens: number
  /** Masks of tokens for constrained answers: computed, and found ready. */
  readonly masks: number
  readonly maskHits: number
  readonly maskSeconds: number
  readonly runSeconds: number
  readonly busySeconds: number
}

/** What the bank holds now, in the order in which it would be evicted. */
export interface BankResidents {
  readonly budgetBytes: number
  readonly residents: readonly { readonly digest: string; readonly bytes: number; readonly pinned: boolean }[]
  /** Measured since the start: bytes brought in, and the time that took. */
  readonly loadedBytes: number
  readonly loadMs: number
}

/** What the main thread may ask the engine thread, and what it answers. */
export interface Answers {
  readonly stats: EngineStats
  readonly residents: BankResidents
  /** What contradicts itself in the engine's books; null = nothing. */
  readonly contradiction: string | null
}

export type Question = keyof Answers

/** Messages from the main thread to the engine thread. */
export type ToEngine =
  | { readonly type: 'hold'; readonly weights: AdapterWeights }
  | { readonly type: 'drop'; readonly digest: string }
  | { readonly type: 'keep'; readonly digests: readonly string[] }
  | { readonly type: 'submit'; readonly id: number; readonly request: GenerationRequest }
  | { readonly type: 'cancel'; readonly id: number }
  | { readonly type: 'ask'; readonly id: number; readonly question: Question }
  | { readonly type: 'stop' }

/** Messages from the engine thread to the main thread. */
export type FromEngine =
  | { readonly type: 'ready'; readonly info: ModelInfo; readonly inPlace: boolean }
  | { readonly type: 'failed'; readonly message: string }
  | { readonly type: 'events'; readonly events: readonly { readonly id: number; readonly event: GenerationEvent }[] }
  | { readonly type: 'answer'; readonly id: number; readonly answer: Answers[Question] }
  /** Something failed that no single request is to blame for; everything that ran was ended with an error. */
  | { readonly type: 'fault'; readonly message: string }
  | { readonly type: 'stopped' }
