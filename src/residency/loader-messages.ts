import type { MergeJob } from '../adapters/merge.ts'
import type { ReadAdapter } from '../adapters/read.ts'
import type { SiteNorm } from '../adapters/site-norms.ts'
import type { AdapterWeights } from '../core/branch.ts'
import type { ErrorCode } from '../core/errors.ts'
import type { ModelInfo } from '../core/model-info.ts'

/** Reads and checks the adapter in a folder, off the main thread; into the memory given, where the weights are exactly as large. */
export type AdapterReader = (dir: string, memory?: SharedArrayBuffer | null) => Promise<ReadAdapter>

/** Measures an adapter's strength at its sites. */
export type NormReader = (weights: AdapterWeights) => Promise<readonly SiteNorm[]>

/** Merges stored adapters as `mergeAdapters` does, off the main thread. */
export type AdapterMerger = (job: MergeJob) => Promise<void>

/** Plain data at the start of the loader thread. */
export interface LoaderOptions {
  readonly info: ModelInfo
  /** Folder of the base model, for adapters that are defined relative to its weights. */
  readonly modelDir: string
}

export type ToLoader =
  | { readonly type: 'read'; readonly id: number; readonly dir: string; readonly memory: SharedArrayBuffer | null }
  | { readonly type: 'measure'; readonly id: number; readonly weights: AdapterWeights }
  | { readonly type: 'merge'; readonly id: number; readonly job: MergeJob }
  | { readonly type: 'stop' }

/** An error on its way between threads. */
export interface LoaderFailure {
  readonly code: ErrorCode
  readonly message: string
  readonly param: string | undefined
}

export type FromLoader =
  | { readonly type: 'read'; readonly id: number; readonly result: ReadAdapter }
  | { readonly type: 'measured'; readonly id: number; readonly norms: readonly SiteNorm[] }
  | { readonly type: 'merged'; readonly id: number }
  | { readonly type: 'failed'; readonly id: number; readonly failure: LoaderFailure }
