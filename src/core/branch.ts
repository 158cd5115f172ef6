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

export type LinearKind = (typeof LINEAR_KINDS)[number]
export type ResidualKind = (typeof RESIDUAL_KINDS)[number]
export type SiteKind = LinearKind | ResidualKind

/** Non-linearities φ of bottleneck modules. `gelu` is exact (erf), `gelu_tanh` the tanh approximation. */
export const ACTIVATIONS = ['identity', 'relu', 'silu', 'gelu', 'gelu_tanh', 'tanh', 'sigmoid', 'leaky_relu'] as const
export type Activation = (typeof ACTIVATIONS)[number]

/** How a module acts: in parallel to linear layers, or as a small feed-forward module in the layer. */
export type Method = 'lora' | 'bottleneck'

/**
 * One module at one site in the common form `branch(x) = scale · ( φ(x · downᵀ + a) · up + c )`.
 * All arrays are f32 views into one SharedArrayBuffer per adapter version, so threads share them without copies.
 */
export interface Branch {
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

/** The weights of one adapter version in host memory. */
export interface AdapterWeights {
  /** `sha256:…` of normalised config and weights. */
  readonly digest: string
  readonly method: Method
  readonly branches: readonly Branch[]
  /** Bytes of the shared buffer all branches point into. */
  readonly bytes: number
}

/** One member of a mix: which version, how strongly. */
export interface MixEntry {
  readonly digest: string
  readonly scale: number
}

/** `layers.3.q_proj`: the name of a site in messages and listings. */
export function siteName(layer: number, kind: SiteKind): string {
  return `layers.${layer}.${kind}`
}

export function isLinearKind(kind: SiteKind): kind is LinearKind {
  return (LINEAR_KINDS as readonly string[]).includes(kind)
}
