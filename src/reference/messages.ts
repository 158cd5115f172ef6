import type { AdapterWeights } from '../core/branch.ts'

/** Plain data at the start of the reference thread. */
export interface ReferenceOptions {
  /** Folder of the prepared model. */
  readonly preparedDir: string
}

export type ToReference =
  /** `adapter` null = the base model. */
  | {
      readonly type: 'pass'
      readonly id: number
      readonly tokens: Int32Array
      readonly adapter: AdapterWeights | null
    }
  | { readonly type: 'stop' }

export type FromReference =
  | { readonly type: 'passed'; readonly id: number; readonly logprobs: Float32Array }
  | { readonly type: 'failed'; readonly id: number; readonly message: string }
