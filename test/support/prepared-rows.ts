import { kindDims } from '../../src/model/families/modules.ts'
import { fusedBlocks } from '../../src/model/fused-blocks.ts'
import type { PreparedModel } from '../../src/model/prepared.ts'
import { BlockReader } from '../../src/reference/block-reader.ts'
import { PreparedTensors } from '../../src/reference/prepared-tensors.ts'

/** A block's weight as rows `[outDim, inDim]`, its parts one after the other, whatever it was prepared to. */
export function rowsOf(
  prepared: PreparedModel,
  block: string,
): { readonly rows: Float32Array; readonly inDim: number } {
  const { architecture } = prepared.manifest
  const kinds = fusedBlocks(architecture)[block.replace(/^layers\.\d+\./, '')]
  const dims = kinds?.map((kind) => kindDims(kind, architecture)) ?? [
    [architecture.hidden, architecture.vocab] as const,
  ]
  const inDim = dims[0]![0]
  const rows = new Float32Array(inDim * dims.reduce((sum, [, outDim]) => sum + outDim, 0))
  const tensors = new PreparedTensors(prepared)
  const reader = new BlockReader(tensors)
  let [firstTile, start] = [0, 0]
  for (const [, count] of dims) {
    reader.rows({ block, inDim, firstTile, first: 0, count }, rows.subarray(start * inDim, (start + count) * inDim))
    firstTile += Math.ceil(count / 16)
    start += count
  }
  tensors.close()
  return { rows, inDim }
}

/** All linear blocks of a prepared model. */
export function blocksOf({ manifest }: PreparedModel): string[] {
  return Object.keys(manifest.tensors).flatMap((name) => (name.endsWith('.w') ? [name.slice(0, -2)] : []))
}

/** √(Σ(found − expected)² / Σexpected²). */
export function relativeError(found: Float32Array, expected: Float32Array): number {
  let [error, size] = [0, 0]
  for (const [i, value] of expected.entries()) {
    error += (found[i]! - value) ** 2
    size += value ** 2
  }
  return Math.sqrt(error / size)
}
