import type { LinearKind } from '../core/branch.ts'

/** Names of the checkpoint's tensors; `{i}` stands for the layer. */
export interface TensorNames {
  readonly embed: string
  readonly finalNorm: string
  /** Absent in the checkpoint when the head is tied to the embedding. */
  readonly head: string
  readonly attnNorm: string
  readonly mlpNorm: string
  /** Stems of the linear layers: `.weight` `[out, in]` and, where there is one, `.bias` `[out]` follow. */
  readonly linear: Readonly<Record<LinearKind, string>>
  readonly qNorm?: string
  readonly kNorm?: string
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
  readonly normEps: number
  readonly tiedHead: boolean
  /** Linear layers with a bias. */
  readonly biases: readonly LinearKind[]
  /** RMS norm of every query and key head before the rotation (Qwen 3). */
  readonly qkNorm: boolean
  readonly rope: {
    /** Rotation angle per position of each dimension pair, `[headDim / 2]`, any scaling already applied. */
    readonly inverseFrequencies: readonly number[]
    /** Multiplies cos and sin (YaRN and long rope; 1 elsewhere). */
    readonly attentionFactor: number
  }
  readonly names: TensorNames
}
