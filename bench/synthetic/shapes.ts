/** Sizes of the synthetic base model: a Llama of 0.4 billion parameters. */
export const SHAPES = {
  hidden: 896,
  layers: 24,
  heads: 14,
  kvHeads: 2,
  headDim: 64,
  mlp: 4864,
  vocab: 32_000,
  maxContext: 2048,
} as const

interface LinearShape {
  readonly name: string
  readonly block: 'self_attn' | 'mlp'
  readonly inDim: number
  readonly outDim: number
}

const { hidden, kvHeads, headDim, mlp } = SHAPES
const KV = kvHeads * headDim

/** The linear layers of one transformer layer. */
export const LINEAR: readonly LinearShape[] = [
  { name: 'q_proj', block: 'self_attn', inDim: hidden, outDim: hidden },
  { name: 'k_proj', block: 'self_attn', inDim: hidden, outDim: KV },
  { name: 'v_proj', block: 'self_attn', inDim: hidden, outDim: KV },
  { name: 'o_proj', block: 'self_attn', inDim: hidden, outDim: hidden },
  { name: 'gate_proj', block: 'mlp', inDim: hidden, outDim: mlp },
  { name: 'up_proj', block: 'mlp', inDim: hidden, outDim: mlp },
  { name: 'down_proj', block: 'mlp', inDim: mlp, outDim: hidden },
]
