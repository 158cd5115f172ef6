import type { Activation } from '../core/branch.ts'
import type { LinearModule } from '../core/model-info.ts'

/** Names of the checkpoint's tensors beside the linear modules; `{i}` stands for the layer. */
export interface TensorNames {
  /** `model.`: saved models without head lack it. */
  readonly basePrefix: string
  readonly embed: string
  /** Learned positions. */
  readonly positions?: string
  readonly finalNorm: string
  /** Absent in the checkpoint when the head is tied to the embedding. */
  readonly head: string
  readonly attnNorm: string
  readonly mlpNorm: string
  /** Norms of what a sublayer returned (Gemma). */
  readonly attnPostNorm?: string
  readonly mlpPostNorm?: string
  /** RMS norm of every query and key head before the rotation (Qwen 3, Gemma 3). */
  readonly qNorm?: string
  readonly kNorm?: string
  /** Beginnings of names in checkpoints of models with more parts than the text model, and what they stand for. */
  readonly renamed?: readonly (readonly [string, string])[]
  /** How models with more parts name the text model in them, by model: beginnings of paths here and there. */
  readonly within?: readonly (readonly (readonly [own: string, there: string])[])[]
  /** Beginnings of the names of those other parts. */
  readonly otherParts?: readonly string[]
  /** Buffers that old checkpoints carry and that follow from the configuration. */
  readonly derived?: readonly string[]
}

/** A rotary position embedding (Su et al. 2021) of the first `2 · inverseFrequencies.length` dimensions of a head. */
export interface Rope {
  /** Rotation angle per position of each dimension pair, any scaling already applied. */
  readonly inverseFrequencies: readonly number[]
  /** Multiplies cos and sin (long rope; 1 elsewhere). */
  readonly attentionFactor: number
}

/** What a family file says about one checkpoint: everything the graph builder and the preparation need, and nothing of the file format. */
export interface Architecture {
  readonly family: string
  readonly hidden: number
  readonly layers: number
  readonly heads: number
  readonly kvHeads: number
  readonly headDim: number
  readonly mlp: number
  readonly vocab: number
  readonly maxContext: number
  readonly norm: {
    /** `rms`: x · w / rms(x); `layer`: (x − mean) · w / deviation + b. */
    readonly kind: 'rms' | 'layer'
    readonly eps: number
    /** Added to every norm's weight (Gemma's 1 + w). */
    readonly offset: number
  }
  /** `parallel`: attention and MLP read the same stream and are added to it together (GPT-NeoX). */
  readonly residual: 'sequential' | 'parallel'
  /** Multiplies what a sublayer returned before it is added to the stream. */
  readonly residualScale: number
  /** `gated`: down(φ(gate x) ∘ up x); `plain`: down(φ(up x)). */
  readonly mlpKind: 'gated' | 'plain'
  readonly activation: Activation
  readonly attention: {
    /** Multiplies query · key; 1 / √headDim in most families. */
    readonly scale: number
    /** c · tanh(scores / c) before the softmax; null = none. */
    readonly softcap: number | null
    /** Per layer: a query sees this many positions, its own among them; null = all. */
    readonly windows: readonly (number | null)[]
    /** Per layer: index into `ropes`; null = no rotation. */
    readonly ropes: readonly (number | null)[]
  }
  readonly ropes: readonly Rope[]
  /** Long rope: sequences of more than `length` tokens are rotated by `rope` in all their positions, shorter ones by the first of `ropes`. */
  readonly longRope: { readonly length: number; readonly rope: Rope } | null
  /** Rows of the table of learned positions before position 0; null = positions are not learned. */
  readonly positionOffset: number | null
  /** Multiplies the embedding. */
  readonly embedScale: number
  /** Multiplies the logits. */
  readonly logitScale: number
  /** c · tanh(logits / c); null = none. */
  readonly logitSoftcap: number | null
  readonly tiedHead: boolean
  readonly modules: readonly LinearModule[]
  readonly names: TensorNames
}

/** Attention rotates by itself where the rotated half of a head is a multiple of this; else a node of its own does. */
const ROTATION_UNIT = 8

/** Whether attention cannot rotate heads by itself, as with some GPT-NeoX models that rotate a quarter of each head. */
export function rotatesApart({ inverseFrequencies }: Rope): boolean {
  return inverseFrequencies.length % ROTATION_UNIT !== 0
}

/** Whether the graph needs to be told every token's position: learned positions, long rope and rotations apart look up by it. */
export function needsPositions({
  positionOffset,
  longRope,
  ropes,
}: Pick<Architecture, 'positionOffset' | 'longRope' | 'ropes'>): boolean {
  return positionOffset !== null || longRope !== null || ropes.some(rotatesApart)
}
