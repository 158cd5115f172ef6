/** Sizes of a synthetic Llama. */
export interface Shapes {
  readonly hidden: number
  readonly layers: number
  readonly heads: number
  readonly kvHeads: number
  readonly headDim: number
  readonly mlp: number
  readonly vocab: number
  readonly maxContext: number
}

/** The base model of most rows: 0.4 billion parameters. */
export const SHAPES: Shapes = {
  hidden: 896,
  layers: 24,
  heads: 14,
  kvHeads: 2,
  headDim: 64,
  mlp: 4864,
  vocab: 32_000,
  maxContext: 2048,
}

/** 8 billion parameters, in the shapes of Llama 3.1 8B. */
export const EIGHT_BILLION: Shapes = {
  hidden: 4096,
  layers: 32,
  heads: 32,
  kvHeads: 8,
  headDim: 128,
  mlp: 14_336,
  vocab: 128_256,
  maxContext: 2048,
}

interface LinearShape {
  readonly name: string
  readonly block: 'self_attn' | 'mlp'
  readonly inDim: number
  readonly outDim: number
}

/** The linear layers of one transformer layer. */
export function linearShapes({ hidden, heads, kvHeads, headDim, mlp }: Shapes): readonly LinearShape[] {
  const [queries, keys] = [heads * headDim, kvHeads * headDim]
  return [
    { name: 'q_proj', block: 'self_attn', inDim: hidden, outDim: queries },
    { name: 'k_proj', block: 'self_attn', inDim: hidden, outDim: keys },
    { name: 'v_proj', block: 'self_attn', inDim: hidden, outDim: keys },
    { name: 'o_proj', block: 'self_attn', inDim: queries, outDim: hidden },
    { name: 'gate_proj', block: 'mlp', inDim: hidden, outDim: mlp },
    { name: 'up_proj', block: 'mlp', inDim: hidden, outDim: mlp },
    { name: 'down_proj', block: 'mlp', inDim: mlp, outDim: hidden },
  ]
}

/** Those of the base model of most rows. */
export const LINEAR = linearShapes(SHAPES)
