import type { LinearKind } from '../core/branch.ts'
import type { ModelInfo, Precision } from '../core/model-info.ts'
import type { Architecture } from './architecture.ts'
import type { PreparedTensor } from './prepared.ts'

/** Inputs that share one scale in an int4 block. */
export const QUANT_BLOCK = 32
const ALIGNMENT = 64

/** Linear layers of one transformer layer, as they are fused in a prepared model: outputs side by side. */
export const FUSED_BLOCKS: Readonly<Record<string, readonly LinearKind[]>> = {
  qkv: ['q_proj', 'k_proj', 'v_proj'],
  o: ['o_proj'],
  gate_up: ['gate_proj', 'up_proj'],
  down: ['down_proj'],
}

/** Where every tensor of a prepared model lies in `weights.bin`. */
export interface Layout {
  readonly tensors: Readonly<Record<string, PreparedTensor>>
  /** Size of `weights.bin`. */
  readonly bytes: number
}

/** `[inDim, outDim]` of the linear layers. */
export function linearDims(architecture: Architecture): ModelInfo['linear'] {
  const { hidden, mlp, heads, kvHeads, headDim } = architecture
  return {
    q_proj: [hidden, heads * headDim],
    k_proj: [hidden, kvHeads * headDim],
    v_proj: [hidden, kvHeads * headDim],
    o_proj: [heads * headDim, hidden],
    gate_proj: [hidden, mlp],
    up_proj: [hidden, mlp],
    down_proj: [mlp, hidden],
  }
}

/** Lays out the tensors documented in `prepared.ts`, in the order in which they are prepared. */
export function planLayout(architecture: Architecture, precision: Precision): Layout {
  const { hidden, vocab, layers, headDim, maxContext, qkNorm, biases } = architecture
  const dims = linearDims(architecture)
  const tensors: Record<string, PreparedTensor> = {}
  let end = 0
  const add = (name: string, dtype: PreparedTensor['dtype'], shape: readonly number[]): void => {
    const bytes = shape.reduce((product, size) => product * size, dtype === 'f32' ? 4 : 1)
    const offset = Math.ceil(end / ALIGNMENT) * ALIGNMENT
    tensors[name] = { dtype, shape, offset, bytes }
    end = offset + bytes
  }
  const addBlock = (block: string, inDim: number, outDim: number, biased: boolean): void => {
    if (precision === 'f32') {
      add(`${block}.weight`, 'f32', [inDim, outDim])
    } else {
      const groups = Math.ceil(inDim / QUANT_BLOCK)
      add(`${block}.q4`, 'u8', [outDim, groups, QUANT_BLOCK / 2])
      add(`${block}.scales`, 'f32', [outDim, groups])
    }
    if (biased) add(`${block}.bias`, 'f32', [outDim])
  }

  add('embed', 'f32', [vocab, hidden])
  add('final_norm', 'f32', [hidden])
  add('rope.cos', 'f32', [maxContext, headDim / 2])
  add('rope.sin', 'f32', [maxContext, headDim / 2])
  for (let layer = 0; layer < layers; layer++) {
    const prefix = `layers.${layer}`
    add(`${prefix}.attn_norm`, 'f32', [hidden])
    add(`${prefix}.mlp_norm`, 'f32', [hidden])
    if (qkNorm) {
      add(`${prefix}.q_norm`, 'f32', [headDim])
      add(`${prefix}.k_norm`, 'f32', [headDim])
    }
    for (const [block, parts] of Object.entries(FUSED_BLOCKS)) {
      const outDim = parts.reduce((sum, kind) => sum + dims[kind][1], 0)
      const biased = parts.some((kind) => biases.includes(kind))
      addBlock(`${prefix}.${block}`, dims[parts[0]!][0], outDim, biased)
    }
  }
  addBlock('head', hidden, vocab, false)
  return { tensors, bytes: end }
}
