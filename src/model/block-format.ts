import type { Precision } from '../core/model-info.ts'
import type { Architecture } from './architecture.ts'
import { fusedBlocks } from './fused-blocks.ts'
import type { PackedWeights } from './packed/packed-weights.ts'
import { layerTensor } from './plain-tensors.ts'
import type { WeightFormat } from './prepared.ts'
import { BLOCK } from './tiles.ts'

/** How the weights of a linear block are written; see `prepared.ts`. */
export interface BlockFormat {
  readonly format: WeightFormat
  /** Set where the checkpoint's own packed values are taken over: which input every column multiplies, null = each its own. */
  readonly packed: { readonly inputs: Int32Array | null } | null
}

/** What a block is written as when the checkpoint has plain weights. The head is the block that loses most by 4 bits. */
export function formatOf(precision: Precision, block: string): BlockFormat {
  return { format: plainFormat(precision, block), packed: null }
}

function plainFormat(precision: Precision, block: string): WeightFormat {
  switch (precision) {
    case 'f32':
    case 'bf16':
      return precision
    case 'int8':
      return 'q8'
    case 'int4':
      return block === 'head' ? 'q8' : 'q4'
  }
}

/** The precision that keeps packed weights as they are. */
export function packedPrecision({ packing }: PackedWeights): Precision {
  return packing.bits === 4 ? 'int4' : 'int8'
}

/**
 * How every block of a model is written. Packed blocks are kept where the precision is theirs. Beside them, what the checkpoint has not packed
 * (often the head) gets 8 bits, and what no format of ours can hold exactly is written as f32.
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
      formats.set(`layers.${layer}.${block}`, keptFormat(parts, packed))
    }
  }
  const head = { stem: names.head.replace(/\.weight$/, ''), size: { inDim: hidden, outDim: vocab } }
  const keepsHead = !tiedHead && logitScale === 1
  formats.set('head', keepsHead ? keptFormat([head], packed) : { format: 'q8', packed: null })
  return (block) => formats.get(block)!
}

interface Part {
  readonly stem: string
  readonly size: { readonly inDim: number; readonly outDim: number }
}

function keptFormat(parts: readonly Part[], packed: PackedWeights): BlockFormat {
  const count = parts.filter(({ stem }) => packed.has(stem)).length
  if (count === 0) return { format: 'q8', packed: null }
  const [inputs, ...others] = parts.map(({ stem, size }) => packed.inputs(stem, size))
  const alike = others.every((other) => String(other) === String(inputs))
  if (count < parts.length || !alike || !fitsTiles(packed)) return { format: 'f32', packed: null }
  return { format: packed.packing.bits === 4 ? 'q4' : 'q8', packed: { inputs: inputs ?? null } }
}

/** Blocks of 32 inputs share a scale, and only blocks of 4 bits have a minimum beside it. */
function fitsTiles({ packing: { bits, groupSize, zeros } }: PackedWeights): boolean {
  return (groupSize === null || groupSize % BLOCK === 0) && (bits === 4 || !zeros)
}
