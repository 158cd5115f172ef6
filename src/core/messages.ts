import type { AdapterWeights } from './branch.ts'
import type { GenerationEvent, GenerationRequest } from './generation.ts'
import type { AdapterFormat, KvFormat, ModelInfo } from './model-info.ts'

/** How the engine thread is set up. Plain data. */
export interface EngineOptions {
  /** Folder of the prepared model. */
  readonly preparedDir: string
  readonly device: 'cpu'
  /** Most sequences that run at once, as far as there are pages for them. */
  readonly maxBatch: number
  /** Longest sequence, in tokens, virtual ones included. */
  readonly maxContext: number
  /** Most tokens of one step. */
  readonly stepTokens: number
  /** Pages for the keys and values of all sequences, and of prompts kept for later ones. */
  readonly kvPages: number
  readonly kvFormat: KvFormat
  readonly adapterFormat: AdapterFormat
  /** Most guessed tokens of one sequence that a step verifies; 0 = no speculative decoding. */
  readonly speculation: number
  /** Threads of one step. */
  readonly threads: number
}

/** Numbers for the metrics; counters grow from the start of the thread. */
export interface EngineStats {
  /** Sequences that never ran so far. */
  readonly queued: number
  readonly running: number
  /** Sequences that ran and had to give their pages back. */
  readonly paused: number
  readonly maxBatch: number
  readonly pages: number
  readonly pageTokens: number
  /** Pages with nothing in them. */
  readonly pagesFree: number
  /** Pages that sequences use. */
  readonly pagesUsed: number
  /** Those of them that more than one uses. */
  readonly pagesShared: number
  /** Pages of ended sequences that later ones may begin with. */
  readonly pagesCached: number
  readonly kvBytes: number
  /** Tokens that running sequences have in pages; shared ones count for each. */
  readonly kvTokens: number
  readonly adapters: number
  readonly adapterBytes: number
  readonly adapterLoads: number
  readonly adapterLoadFailures: number
  readonly weightBytes: number
  readonly scratchBytes: number
  /** Prompt tokens that were looked up among the pages. */
  readonly prefixLookedUpTokens: number
  /** Those of them that needed no evaluation. */
  readonly prefixFoundTokens: number
  /** Cached pages that gave way to others. */
  readonly prefixEvictions: number
  readonly copiedPages: number
  readonly pauses: number
  /** Tokens evaluated again: after a pause, or because a long rope changed its rotations. */
  readonly recomputedTokens: number
  readonly steps: number
  readonly stepTokens: number
  /** Rows that got their next token. */
  readonly decodeRows: number
  readonly promptTokens: number
  readonly draftedTokens: number
  /** Drafted ones that the model chose too. */
  readonly acceptedTokens: number
  /** Masks of tokens for constrained answers: computed, and found ready. */
  readonly masks: number
  readonly maskHits: number
  readonly maskSeconds: number
  /** Inside the device. */
  readonly stepSeconds: number
  readonly busySeconds: number
}

/** The versions in the memory of the device. */
export interface DeviceResidents {
  readonly residents: readonly { readonly digest: string; readonly bytes: number }[]
  /** Measured since the start: bytes brought in, and the time that took. */
  readonly loadedBytes: number
  readonly loadMs: number
}

/** What the main thread may ask the engine thread, and what it answers. */
export interface Answers {
  readonly stats: EngineStats
  readonly residents: DeviceResidents
  /** What contradicts itself in the engine's books; null = nothing. */
  readonly contradiction: string | null
}

export type Question = keyof Answers

/** What the main thread needs to know of a device once it is open. */
export interface DeviceFacts {
  /** Which kernels run, e.g. `avx512`. */
  readonly kernels: string
  readonly kvBytes: number
  /** Tokens that fit into the pages. */
  readonly kvTokens: number
}

/** Messages from the main thread to the engine thread. */
export type ToEngine =
  | { readonly type: 'hold'; readonly id: number; readonly weights: AdapterWeights }
  | { readonly type: 'drop'; readonly digest: string }
  /** One sequence for every id, all with the same prompt; the seed grows by one from each to the next. */
  | { readonly type: 'submit'; readonly ids: readonly number[]; readonly request: GenerationRequest }
  | { readonly type: 'cancel'; readonly id: number }
  | { readonly type: 'ask'; readonly id: number; readonly question: Question }
  | { readonly type: 'stop' }

/** Messages from the engine thread to the main thread. */
export type FromEngine =
  | { readonly type: 'ready'; readonly info: ModelInfo; readonly device: DeviceFacts }
  /** It cannot start; `isDevice`: for what the machine lacks. */
  | { readonly type: 'failed'; readonly message: string; readonly isDevice: boolean }
  /** A version is in the device's memory: what it was read into is not needed any more. */
  | { readonly type: 'held'; readonly id: number; readonly bytes: number }
  | { readonly type: 'refused'; readonly id: number; readonly message: string }
  | { readonly type: 'events'; readonly events: readonly { readonly id: number; readonly event: GenerationEvent }[] }
  | { readonly type: 'answer'; readonly id: number; readonly answer: Answers[Question] }
  /** Something failed that no single request is to blame for; what took part in it was ended with an error. */
  | { readonly type: 'fault'; readonly message: string }
  | { readonly type: 'stopped' }
