import type { LinearKind, ResidualKind, SiteKind } from './branch.ts'
import { isLinearKind } from './branch.ts'

export const PRECISIONS = ['f32', 'int4'] as const
export type Precision = (typeof PRECISIONS)[number]

/** Some outputs of a linear module: `run` of them from `first + t · stride` on, for t = 0 … times − 1. */
export interface OutputRange {
  readonly first: number
  readonly run: number
  readonly stride: number
  readonly times: number
}

/** A linear module as the checkpoint has it and as adapter files name it; a fused one holds several linear layers. */
export interface LinearModule {
  /** Path in the model with its head, `{i}` for the layer: `model.layers.{i}.self_attn.qkv_proj`. */
  readonly path: string
  readonly inDim: number
  readonly outDim: number
  /** The checkpoint's weight is `[in, out]` (GPT-2's Conv1D, PEFT's `fan_in_fan_out`) and not `[out, in]`. */
  readonly transposed: boolean
  readonly biased: boolean
  /** Together they are all outputs, each once. */
  readonly parts: readonly { readonly kind: LinearKind; readonly outputs: OutputRange }[]
}

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
  /** `[inDim, outDim]` of every linear layer a module can act on; a plain MLP has no `gate_proj`. */
  readonly linear: Readonly<Partial<Record<LinearKind, readonly [number, number]>>>
  /** Residual sites; none where a layer is no chain of `stream + sublayer` and bottleneck modules have no defined place. */
  readonly residual: readonly ResidualKind[]
  /** The linear modules of a layer under the names that PEFT knows. */
  readonly modules: readonly LinearModule[]
  /** Module paths begin with this; it is missing in adapters that were saved from the model without its head. */
  readonly basePrefix: string
  /** Paths of the embedding and the head, which no module can act on yet. */
  readonly otherModules: readonly string[]
}

/** Whether the base model has sites of this kind. */
export function hasSite(info: Pick<ModelInfo, 'linear' | 'residual'>, kind: SiteKind): boolean {
  return isLinearKind(kind) ? info.linear[kind] !== undefined : info.residual.includes(kind)
}

/** `[inDim, outDim]` of a site; residual sites are `[hidden, hidden]`. The base model must have the site (`hasSite`). */
export function siteDims(info: Pick<ModelInfo, 'hidden' | 'linear'>, kind: SiteKind): readonly [number, number] {
  if (!isLinearKind(kind)) return [info.hidden, info.hidden]
  const dims = info.linear[kind]
  if (dims === undefined) throw new Error(`the base model has no ${kind}`)
  return dims
}

/** The outputs of a range, in order, as runs `[start, count]` that lie together. */
export function* outputRuns({ first, run, stride, times }: OutputRange): Generator<readonly [number, number]> {
  for (let t = 0; t < times; t++) yield [first + t * stride, run]
}
