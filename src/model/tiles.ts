import type { WeightFormat } from './prepared.ts'

/** Outputs of a tile: one vector register of f32 on the widest processors. */
export const TILE = 16
/** Inputs that share a scale. */
export const BLOCK = 32

/** Inputs that one 32-bit lane of a product of bytes takes. */
const QUAD = 4

/** What one tile of 16 outputs takes, in bytes: its weights, its scales and its minima. */
export interface TileBytes {
  readonly weights: number
  /** f16 `[blocks, 16]`; 0 where the format has no scales. */
  readonly scales: number
  /** f16 `[blocks, 16]`; 0 where the format has no minima. */
  readonly minima: number
}

export function tileBytes(format: WeightFormat, inDim: number): TileBytes {
  const blocks = Math.ceil(inDim / BLOCK)
  const scales = blocks * TILE * 2
  switch (format) {
    case 'f32':
      return { weights: inDim * TILE * 4, scales: 0, minima: 0 }
    case 'bf16':
      return { weights: inDim * TILE * 2, scales: 0, minima: 0 }
    case 'q8':
      return { weights: blocks * BLOCK * TILE, scales, minima: 0 }
    case 'q4':
      return { weights: (blocks * BLOCK * TILE) / 2, scales, minima: scales }
  }
}

/** Tiles of parts that each begin with a tile of their own. */
export function tileCount(outDims: readonly number[]): number {
  return outDims.reduce((sum, outDim) => sum + Math.ceil(outDim / TILE), 0)
}

/** Where the byte of an input and an output stands in a tile of bytes, `[block, quad, 16 outputs, 4 inputs]`. */
export function byteIndex(input: number, output: number): number {
  return (Math.floor(input / QUAD) * TILE + output) * QUAD + (input % QUAD)
}

/**
 * Where the 4 bits of an input and an output stand in a tile `[block, 4, 16 outputs, 4 inputs]`: the low half of a byte is of the first
 * 16 inputs of a block, the high half of the last 16.
 */
export function nibbleIndex(input: number, output: number): { readonly byte: number; readonly high: boolean } {
  const block = Math.floor(input / BLOCK)
  const within = input % BLOCK
  const half = BLOCK / 2
  const byte = block * half * TILE + byteIndex(within % half, output)
  return { byte, high: within >= half }
}
