import type { AdapterDescription } from '../adapters/read.ts'
import type { AdapterWeights } from '../core/branch.ts'
import type { ErrorCode } from '../core/errors.ts'
import type { ModelInfo } from '../core/model-info.ts'

export interface ReadAdapter {
  readonly weights: AdapterWeights
  readonly description: AdapterDescription
}

/** Reads and checks the adapter in a folder, off the main thread. */
export type AdapterReader = (dir: string) => Promise<ReadAdapter>

/** Plain data at the start of the loader thread. */
export interface LoaderOptions {
  readonly info: ModelInfo
  /** Folder of the base model, for adapters that are defined relative to its weights. */
  readonly modelDir: string
}

export type ToLoader = { readonly type: 'read'; readonly id: number; readonly dir: string } | { readonly type: 'stop' }

/** An error on its way between threads. */
export interface LoaderFailure {
  readonly code: ErrorCode
  readonly message: string
  readonly param: string | undefined
}

export type FromLoader =
  | { readonly type: 'read'; readonly id: number; readonly result: ReadAdapter }
  | { readonly type: 'failed'; readonly id: number; readonly failure: LoaderFailure }
