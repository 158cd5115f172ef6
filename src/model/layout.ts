import type { ModelInfo } from '../core/model-info.ts'
import type { Architecture } from './architecture.ts'
import type { BlockFormat } from './block-format.ts'
import { fusedBlocks } from './fused-blocks.ts'
import { kindDims } from './families/modules.ts'
import { layerTensors, modelTensors } from './plain-tensors.ts'
import type { PreparedTensor, WeightFormat } from './prepared.ts'
import { BLOCK, TILE, tileBytes, tileCount } from './tiles.ts'

const ALIGNMENT = 64

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

/** Whether tokens are looked up in the head's tiles, which then hold exactly the embedding. */
export function embedsByHead({ tiedHead, logitScale }: Architecture, head: BlockFormat): boolean {
  return tiedHead && logitScale === 1 && (head.format === 'f32' || head.format === 'bf16')
}

/**
 * Lays out the tensors documented in `prepared.ts`, in the order in which they are prepared.
 *
 * @param formatOf how a linear block is written
 * @param embedFormat how the embedding is written where it stands by itself
 */
export function planLayout(
  architecture: Architecture,
  formatOf: (block: string) => BlockFormat,
  embedFormat: 'f32' | 'bf16',
): Layout {
  const { hidden, vocab, layers, modules } = architecture
  const tensors: Record<string, PreparedTensor> = {}
  let end = 0
  const add = (name: string, format: PreparedTensor['format'], shape: readonly number[], bytes: number): void => {
    const offset = Math.ceil(end / ALIGNMENT) * ALIGNMENT
    tensors[name] = { format, shape, offset, bytes }
    end = offset + bytes
  }
  const addFloats = (name: string, shape: readonly number[], format: 'f32' | 'bf16' = 'f32'): void => {
    const size = format === 'f32' ? 4 : 2
    add(
      name,
      format,
      shape,
      shape.reduce((product, length) => product * length, size),
    )
  }
  const addBlock = (block: string, inDim: number, outDims: readonly number[], biased: boolean): void => {
    const { format, packed } = formatOf(block)
    const tiles = tileCount(outDims)
    const { weights, scales, minima } = tileBytes(format, inDim)
    const blocks = Math.ceil(inDim / BLOCK)
    add(`${block}.w`, format, tileShape(format, tiles, inDim), tiles * weights)
    if (scales > 0) add(`${block}.d`, 'f16', [tiles, blocks, TILE], tiles * scales)
    if (minima > 0) add(`${block}.m`, 'f16', [tiles, blocks, TILE], tiles * minima)
    if (packed !== null && packed.inputs !== null) add(`${block}.inputs`, 'i32', [inDim], 4 * inDim)
    if (biased) addFloats(`${block}.bias`, [outDims.reduce((sum, outDim) => sum + outDim, 0)])
  }

  for (const { name, shape } of modelTensors(architecture)) {
    if (name === 'embed' && embedsByHead(architecture, formatOf('head'))) continue
    addFloats(name, shape, name === 'embed' ? embedFormat : 'f32')
  }
  const biased = new Set(modules.flatMap((module) => (module.biased ? module.parts.map(({ kind }) => kind) : [])))
  for (let layer = 0; layer < layers; layer++) {
    for (const { name, shape } of layerTensors(architecture, layer)) addFloats(name, shape)
    for (const [block, kinds] of Object.entries(fusedBlocks(architecture))) {
      const outDims = kinds.map((kind) => kindDims(kind, architecture)[1])
      const inDim = kindDims(kinds[0]!, architecture)[0]
      addBlock(
        `layers.${layer}.${block}`,
        inDim,
        outDims,
        kinds.some((kind) => biased.has(kind)),
      )
    }
  }
  addBlock('head', hidden, [vocab], false)
  return { tensors, bytes: end }
}

function tileShape(format: WeightFormat, tiles: number, inDim: number): readonly number[] {
  const blocks = Math.ceil(inDim / BLOCK)
  switch (format) {
    case 'f32':
    case 'bf16':
      return [tiles, inDim, TILE]
    case 'q8':
      return [tiles, blocks, 8, TILE, 4]
    case 'q4':
      return [tiles, blocks, 4, TILE, 4]
  }
}
