import type { EdgeKind, LinearKind, ResidualKind, SiteKind } from './branch.ts'
import { isEdgeKind, isLinearKind } from './branch.ts'

export const PRECISIONS = ['f32', 'bf16', 'int8', 'int4'] as const
export type Precision = (typeof PRECISIONS)[number]

/** How keys and values are kept: `int8` has a scale per head and token. */
export const KV_FORMATS = ['f32', 'bf16', 'int8'] as const
export type KvFormat = (typeof KV_FORMATS)[number]

/** How the weights of adapters are kept. */
export const ADAPTER_FORMATS = ['f32', 'bf16'] as const
export type AdapterFormat = (typeof ADAPTER_FORMATS)[number]

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
  /** Edges a module can act on: not where the family scales the embedding, scales or caps the logits. */
  readonly edges: readonly EdgeKind[]
  /** Whether some layers attend to the latest tokens only. */
  readonly windowed: boolean
  /** Whether all tokens of a sequence are rotated anew once it outgrows a length (Phi 3's long rope). */
  readonly longRope: boolean
  /** The linear modules of a layer under the names that PEFT knows. */
  readonly modules: readonly LinearModule[]
  /** Module paths begin with this; it is missing in adapters that were saved from the model without its head. */
  readonly basePrefix: string
  /** How larger models that have this one as a part name its modules: by model, beginnings of paths here and there. */
  readonly within?: readonly (readonly (readonly [own: string, there: string])[])[]
  /** Beginnings of the paths of those larger models' other parts. */
  readonly otherParts?: readonly string[]
  /** Paths of embedding, head and learned positions; `kind` null where no module can act. */
  readonly otherModules: readonly { readonly path: string; readonly kind: EdgeKind | null }[]
}

/** Whether the base model has sites of this kind. */
export function hasSite(info: Pick<ModelInfo, 'linear' | 'residual' | 'edges'>, kind: SiteKind): boolean {
  if (isEdgeKind(kind)) return info.edges.includes(kind)
  return isLinearKind(kind) ? info.linear[kind] !== undefined : info.residual.includes(kind)
}

/** `[inDim, outDim]` of a site; residual sites are `[hidden, hidden]`. The base model must have the site (`hasSite`). */
export function siteDims(
  info: Pick<ModelInfo, 'hidden' | 'vocab' | 'linear'>,
  kind: SiteKind,
): readonly [number, number] {
  if (isEdgeKind(kind)) return kind === 'embed_tokens' ? [info.vocab, info.hidden] : [info.hidden, info.vocab]
  if (!isLinearKind(kind)) return [info.hidden, info.hidden]
  const dims = info.linear[kind]
  if (dims === undefined) throw new Error(`the base model has no ${kind}`)
  return dims
}

/** The outputs of a range, in order, as runs `[start, count]` that lie together. */
export function* outputRuns({ first, run, stride, times }: OutputRange): Generator<readonly [number, number]> {
  for (let t = 0; t < times; t++) yield [first + t * stride, run]
}
