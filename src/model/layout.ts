import type { ModelInfo } from '../core/model-info.ts'
import type { Architecture } from './architecture.ts'
import type { BlockFormat } from './block-format.ts'
import { hadamardTensor, stepsTensor } from './block-format.ts'
import { fusedBlocks } from './fused-blocks.ts'
import { QUANT_BITS, QUANT_BLOCK } from './quantize.ts'
import { kindDims } from './families/modules.ts'
import { layerTensors, modelTensors } from './plain-tensors.ts'
import type { PreparedTensor } from './prepared.ts'

const ALIGNMENT = 64
const ELEMENT_BYTES = { i8: 1, u8: 1, f32: 4, i64: 8 }

/** Where every tensor of a prepared model lies in `weights.bin`. */
export interface Layout {
  readonly tensors: Readonly<Record<string, PreparedTensor>>
  /** Size of `weights.bin`. */
  readonly bytes: number
}

/** `[inDim, outDim]` of the linear layers. */
export function linearDims(architecture: Architecture): ModelInfo['linear'] {
  const kinds = Object.values(fusedBlocks(architecture)).flat()
  return Object.fromEntries(kinds.map((kind) => [kind, kindDims(kind, architecture)]))
}

/** Names of a table of rotations: `rope.cos` of the first, `rope.1.cos` of the next. */
export function ropeTensor(index: number, part: 'cos' | 'sin'): string {
  return index === 0 ? `rope.${part}` : `rope.${index}.${part}`
}

/**
 * Lays out the tensors documented in `prepared.ts`, in the order in which they are prepared.
 *
 * @param formatOf how a linear block is written
 */
export function planLayout(architecture: Architecture, formatOf: (block: string) => BlockFormat): Layout {
  const { hidden, vocab, layers, maxContext, ropes, longRope, modules } = architecture
  const tensors: Record<string, PreparedTensor> = {}
  let end = 0
  const add = (name: string, dtype: PreparedTensor['dtype'], shape: readonly number[]): void => {
    const bytes = shape.reduce((product, size) => product * size, ELEMENT_BYTES[dtype])
    const offset = Math.ceil(end / ALIGNMENT) * ALIGNMENT
    tensors[name] = { dtype, shape, offset, bytes }
    end = offset + bytes
  }
  const addBlock = (block: string, inDim: number, outDim: number, biased: boolean): void => {
    const format = formatOf(block)
    if (format.kind === 'f32') {
      add(`${block}.weight`, 'f32', [inDim, outDim])
    } else if (format.kind === 'hadamard') {
      add(hadamardTensor(block), 'i8', [inDim, outDim])
      add(`${block}.scales`, 'f32', [outDim])
    } else {
      const { size, bits } = format.kind === 'packed' ? format : ({ size: QUANT_BLOCK, bits: QUANT_BITS } as const)
      const count = Math.ceil(inDim / size)
      add(stepsTensor(block, bits), 'u8', [outDim, count, (size * bits) / 8])
      add(`${block}.scales`, 'f32', [outDim, count])
      if (format.kind === 'packed' && format.zeros) {
        add(`${block}.zeros`, 'u8', [outDim, Math.ceil((count * format.bits) / 8)])
      }
      if (format.kind === 'packed' && format.inputs !== null) add(`${block}.inputs`, 'i64', [inDim])
    }
    if (biased) add(`${block}.bias`, 'f32', [outDim])
  }

  for (const { name, shape } of modelTensors(architecture)) add(name, 'f32', shape)
  for (const [index, rope] of ropes.entries()) {
    const rows = maxContext * (longRope === null ? 1 : 2)
    for (const part of ['cos', 'sin'] as const) {
      add(ropeTensor(index, part), 'f32', [rows, rope.inverseFrequencies.length])
    }
  }
  const biased = new Set(modules.flatMap((module) => (module.biased ? module.parts.map(({ kind }) => kind) : [])))
  for (let layer = 0; layer < layers; layer++) {
    for (const { name, shape } of layerTensors(architecture, layer)) add(name, 'f32', shape)
    for (const [block, kinds] of Object.entries(fusedBlocks(architecture))) {
      const outDim = kinds.reduce((sum, kind) => sum + kindDims(kind, architecture)[1], 0)
      const hasBias = kinds.some((kind) => biased.has(kind))
      addBlock(`layers.${layer}.${block}`, kindDims(kinds[0]!, architecture)[0], outDim, hasBias)
    }
  }
  addBlock('head', hidden, vocab, false)
  return { tensors, bytes: end }
}
