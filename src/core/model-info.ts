import type { LinearKind, SiteKind } from './branch.ts'
import { isLinearKind } from './branch.ts'

export const PRECISIONS = ['f32', 'int4'] as const
export type Precision = (typeof PRECISIONS)[number]

/** What the rest of the house needs to know about the base model. Plain data: crosses threads. */
export interface ModelInfo {
  /** What clients call the base model: the folder's name unless configured. */
  readonly name: string
  readonly family: string
  /** `sha256:…` over config and weights of the checkpoint. */
  readonly fingerprint: string
  readonly precision: Precision
  readonly layers: number
  readonly hidden: number
  readonly heads: number
  readonly kvHeads: number
  readonly headDim: number
  readonly vocab: number
  /** Longest prompt + completion the checkpoint supports, in tokens. */
  readonly maxContext: number
  /** `[inDim, outDim]` of every linear layer a module can act on. */
  readonly linear: Readonly<Record<LinearKind, readonly [number, number]>>
}

/** `[inDim, outDim]` of a site; residual sites are `[hidden, hidden]`. */
export function siteDims(info: Pick<ModelInfo, 'hidden' | 'linear'>, kind: SiteKind): readonly [number, number] {
  return isLinearKind(kind) ? info.linear[kind] : [info.hidden, info.hidden]
}
