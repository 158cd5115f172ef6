/** Linear layers a module can act in parallel to; names as in Llama-like checkpoints. */
export const LINEAR_KINDS = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'] as const

/**
 * Places in the residual stream. The delta is always added to the stream after the sublayer; the name says what the module reads:
 *
 *     stream ──┬──────────────────────┐
 *              │ *_in                 │
 *              └─▶ norm ─▶ sublayer ─▶ + ─▶ stream
 *                                 *_out   *_stream
 *
 * - `attn_in`, `mlp_in`: the stream before the sublayer (parallel adapters)
 * - `attn_out`, `mlp_out`: what the sublayer returned (Houlsby)
 * - `attn_stream`, `mlp_stream`: the stream after the sublayer was added (Pfeiffer)
 */
export const RESIDUAL_KINDS = ['attn_in', 'attn_out', 'attn_stream', 'mlp_in', 'mlp_out', 'mlp_stream'] as const

/** Where the model begins and ends: the embedding maps a token (`vocab` channels, one of them 1) to the stream, the head maps the stream to logits. */
export const EDGE_KINDS = ['embed_tokens', 'lm_head'] as const

export type LinearKind = (typeof LINEAR_KINDS)[number]
export type ResidualKind = (typeof RESIDUAL_KINDS)[number]
export type EdgeKind = (typeof EDGE_KINDS)[number]
export type SiteKind = LinearKind | ResidualKind | EdgeKind

/** Non-linearities φ of bottleneck modules. `gelu` is exact (erf), `gelu_tanh` the tanh approximation. */
export const ACTIVATIONS = [
  'identity',
  'relu',
  'relu2',
  'relu6',
  'silu',
  'gelu',
  'gelu_tanh',
  'gelu_clipped',
  'quick_gelu',
  'tanh',
  'sigmoid',
  'leaky_relu',
  'mish',
  'laplace',
] as const
export type Activation = (typeof ACTIVATIONS)[number]

/** φ(1), of all of them above 0. */
export const ACTIVATION_OF_ONE: Readonly<Record<Activation, number>> = {
  identity: 1,
  relu: 1,
  relu2: 1,
  relu6: 1,
  silu: 0.7310585786300049,
  gelu: 0.8413447460685429,
  gelu_tanh: 0.8411919906082768,
  gelu_clipped: 0.8413447460685429,
  quick_gelu: 0.8457957659328212,
  tanh: 0.7615941559557649,
  sigmoid: 0.7310585786300049,
  leaky_relu: 1,
  mish: 0.8650983882673103,
  laplace: 0.8504296492845703,
}

/** What adapters are called by those who train them. The engine knows branches, gains and virtual tokens only. */
export const METHODS = [
  'lora',
  'bottleneck',
  'dora',
  'adalora',
  'ia3',
  'vera',
  'loha',
  'lokr',
  'miss',
  'prompt_tuning',
  'prefix_tuning',
  'trainable_tokens',
] as const
export type Method = (typeof METHODS)[number]

/**
 * One module at one site in the common form `branch(x) = scale · ( φ(x · downᵀ + a) · up + c )`.
 * All arrays are f32 views into one SharedArrayBuffer per adapter version, so threads share them without copies.
 */
export interface Branch {
  /** 0 at the edges of the model. */
  readonly layer: number
  readonly kind: SiteKind
  readonly rank: number
  readonly scale: number
  readonly activation: Activation
  /** `[rank, inDim]` row-major. */
  readonly down: Float32Array
  /** `[rank, outDim]` row-major: the transpose of PEFT's `lora_B` and of a linear layer's `weight`. */
  readonly up: Float32Array
  /** Bias before φ, `[rank]`. */
  readonly a: Float32Array | null
  /** Bias after `up`, `[outDim]`. */
  readonly c: Float32Array | null
}

/** A factor per channel at a linear layer: `in`, of what it reads; `out`, of what it returns, bias included and branches not. */
export interface Gain {
  readonly layer: number
  readonly kind: LinearKind
  readonly side: 'in' | 'out'
  /** `[inDim]` or `[outDim]`. */
  readonly values: Float32Array
}

/** What stands before every prompt as if it were `count` tokens. */
export type VirtualTokens =
  /** Vectors in place of what the embedding gives (Lester et al. 2021): `[count, hidden]`. */
  | { readonly type: 'embeddings'; readonly count: number; readonly values: Float32Array }
  /** Keys and values of every layer, each `[kvHeads, count, headDim]` and rotated already if at all (Li and Liang 2021). */
  | {
      readonly type: 'keys_values'
      readonly count: number
      readonly layers: readonly { readonly keys: Float32Array; readonly values: Float32Array }[]
      /** Whether the prompt's positions begin at `count`, as if the virtual tokens had used up theirs, or at 0. */
      readonly usePositions: boolean
    }

/**
 * Rows of embedding and head that stand in the base model's place, whatever the adapter's scale in a mix: tokens that were trained, and new ones
 * from the base model's vocabulary on.
 */
export interface TokenRows {
  /** Ascending. New ones follow on each other from `info.vocab` on. */
  readonly ids: Int32Array
  /** `[ids.length, hidden]`: what is looked up, before the family scales it; null = the embedding stays as it is. */
  readonly embed: Float32Array | null
  /** `[ids.length, hidden]`: rows of the head; null = it stays as it is, and new tokens are never answered with. */
  readonly head: Float32Array | null
}

/** The weights of one adapter version in host memory. */
export interface AdapterWeights {
  /** `sha256:…` of normalised config and weights. */
  readonly digest: string
  readonly method: Method
  readonly branches: readonly Branch[]
  readonly gains: readonly Gain[]
  readonly virtualTokens: VirtualTokens | null
  readonly tokenRows: TokenRows | null
  /** Bytes of the shared buffer that all of these point into. */
  readonly bytes: number
}

/** Methods that run alone and at scale 1: they multiply what layers return, or stand before the prompt. Only branches can be scaled and added. */
export const ALONE_METHODS: readonly Method[] = ['dora', 'ia3', 'prompt_tuning', 'prefix_tuning']

/** Most bottleneck modules that can follow each other: every level costs every row of the batch as much as one module. */
export const MAX_STACK = 4

/** One member of a mix: which version, how strongly. */
export interface MixEntry {
  readonly digest: string
  readonly scale: number
}

/** `layers.3.q_proj`, `lm_head`: the name of a site in messages and listings. */
export function siteName(layer: number, kind: SiteKind): string {
  return isEdgeKind(kind) ? kind : `layers.${layer}.${kind}`
}

export function isLinearKind(kind: SiteKind): kind is LinearKind {
  return (LINEAR_KINDS as readonly string[]).includes(kind)
}

export function isEdgeKind(kind: SiteKind): kind is EdgeKind {
  return (EDGE_KINDS as readonly string[]).includes(kind)
}
