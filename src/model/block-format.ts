import type { Precision } from '../core/model-info.ts'
import type { Architecture } from './architecture.ts'
import { fusedBlocks } from './fused-blocks.ts'
import type { PackedWeights } from './packed/packed-weights.ts'
import { layerTensor } from './plain-tensors.ts'
import type { StepBits } from './quantize.ts'

/** How the weights of a linear block are written; see `prepared.ts`. */
export type BlockFormat =
  | { readonly kind: 'f32' }
  /** Rounded to blocks of 4 bits by `quantize.ts`. */
  | { readonly kind: 'rounded' }
  /** Turned by a Hadamard matrix and rounded to 8 bits by `hadamard-rows.ts`. */
  | { readonly kind: 'hadamard' }
  /** As the checkpoint has packed them: blocks of `size` inputs, with zero points or without, inputs in another order or not (null). */
  | {
      readonly kind: 'packed'
      readonly bits: StepBits
      readonly size: number
      readonly zeros: boolean
      readonly inputs: Int32Array | null
    }

/** Largest block that has a fast kernel. */
const LARGEST_BLOCK = 256
/** Size of the blocks where one scale holds for all inputs. */
const CHANNEL_BLOCK = 128

/** Name of the tensor with the steps of a block that is rounded or packed. */
export function stepsTensor(block: string, bits: StepBits): string {
  return `${block}.q${bits}`
}

/** Name of the tensor with the steps of a block whose inputs are turned by a Hadamard matrix. */
export function hadamardTensor(block: string): string {
  return `${block}.h8`
}

/** What a block is written as when the checkpoint has plain weights. The head is the block that loses most by 4 bits. */
export function formatOf(precision: Precision, block: string): BlockFormat {
  if (precision === 'f32') return { kind: 'f32' }
  return { kind: precision === 'int4' && block !== 'head' ? 'rounded' : 'hadamard' }
}

/** The precision that keeps packed weights as they are. */
export function packedPrecision({ packing }: PackedWeights): Precision {
  return packing.bits === 4 ? 'int4' : 'int8'
}

/**
 * How every block of a model is written. Packed blocks are kept where the precision is theirs; beside them, what the checkpoint has not packed
 * (often the head) is rounded to 8 bits, and parts that are packed but do not fit together in one block are written as f32.
 */
export function planFormats(
  architecture: Architecture,
  precision: Precision,
  packed: PackedWeights | null,
): (block: string) => BlockFormat {
  if (packed === null || precision !== packedPrecision(packed)) return (block) => formatOf(precision, block)
  const { layers, modules, names, tiedHead, hidden, vocab, logitScale } = architecture
  const formats = new Map<string, BlockFormat>()
  for (let layer = 0; layer < layers; layer++) {
    for (const [block, kinds] of Object.entries(fusedBlocks(architecture))) {
      const holders = modules.filter((module) => module.parts.some(({ kind }) => kinds.includes(kind)))
      const parts = holders.map((module) => ({ stem: layerTensor(module.path, layer), size: module }))
      formats.set(`layers.${layer}.${block}`, blockFormat(parts, packed))
    }
  }
  const head = { stem: names.head.replace(/\.weight$/, ''), size: { inDim: hidden, outDim: vocab } }
  const keepsHead = !tiedHead && logitScale === 1
  formats.set('head', keepsHead ? blockFormat([head], packed) : { kind: 'hadamard' })
  return (block) => formats.get(block)!
}

interface Part {
  readonly stem: string
  readonly size: { readonly inDim: number; readonly outDim: number }
}

function blockFormat(parts: readonly Part[], packed: PackedWeights): BlockFormat {
  const count = parts.filter(({ stem }) => packed.has(stem)).length
  if (count === 0) return { kind: 'hadamard' }
  if (count < parts.length) return { kind: 'f32' }
  const [inputs, ...others] = parts.map(({ stem, size }) => packed.inputs(stem, size))
  if (others.some((other) => String(other) !== String(inputs))) return { kind: 'f32' }
  const { bits, groupSize, zeros } = packed.packing
  return {
    kind: 'packed',
    bits,
    size: Math.min(groupSize ?? CHANNEL_BLOCK, LARGEST_BLOCK),
    zeros,
    inputs: inputs ?? null,
  }
}
