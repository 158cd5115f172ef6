import { TroupeError } from '../core/errors.ts'
import { nativeAddon } from '../native/addon.ts'
import { toFloat16 } from './float16.ts'
import type { PackedMatrix } from './packed/matrix.ts'
import type { WeightFormat } from './prepared.ts'
import { WEIGHT_FORMATS } from './prepared.ts'
import { BLOCK, TILE, byteIndex, nibbleIndex, tileBytes } from './tiles.ts'

/** Tiles as bytes of `weights.bin`; `d` and `m` are empty where the format has none. */
export interface PackedTiles {
  readonly w: Uint8Array
  readonly d: Uint16Array
  readonly m: Uint16Array
}

/** A block of weights in steps: weight ≈ d · step + m, with d and m as f16 bits. */
interface Block {
  readonly steps: Uint8Array
  d: number
  m: number
}

function emptyTiles(format: WeightFormat, inDim: number, tiles: number): PackedTiles {
  const { weights, scales, minima } = tileBytes(format, inDim)
  const w = new Uint8Array(tiles * weights)
  // Outputs and inputs that are not there must have the step that stands for 0.
  if (format === 'q8') w.fill(128)
  return { w, d: new Uint16Array((tiles * scales) / 2), m: new Uint16Array((tiles * minima) / 2) }
}

/**
 * Packs rows of weights into tiles; see `prepared.ts` for the layouts. Runs on other threads.
 *
 * @param rows `[outputs, inDim]`, as many outputs as make whole tiles, or the last ones of a part
 * @param importance mean square of every input over some text, `[inDim]`; null = all alike. Only q4 uses it.
 */
export async function packRows(
  format: WeightFormat,
  rows: Float32Array,
  inDim: number,
  importance: Float32Array | null,
): Promise<PackedTiles> {
  const tiles = emptyTiles(format, inDim, Math.ceil(rows.length / inDim / TILE))
  const { w, d, m } = tiles
  await nativeAddon().packRows(WEIGHT_FORMATS.indexOf(format), rows, inDim, importance, w, d, m)
  return tiles
}

/**
 * Takes over rows of a packed matrix whose groups are whole blocks.
 *
 * @param runs the matrix's rows that make up the part, in order; `first` and `outputs` count in these
 * @throws TroupeError `invalid_model` when a scale is beyond the range of f16
 */
export function packMatrixRows(
  format: 'q8' | 'q4',
  { parts }: PackedMatrix,
  runs: readonly (readonly [start: number, count: number])[],
  first: number,
  outputs: number,
): PackedTiles {
  const { inDim, groupSize, steps, zeros, scales } = parts
  const rows = runs.flatMap(([start, count]) => Array.from({ length: count }, (_, i) => start + i))
  const tiles = emptyTiles(format, inDim, Math.ceil(outputs / TILE))
  const groups = Math.ceil(inDim / groupSize)
  const block: Block = { steps: new Uint8Array(BLOCK), d: 0, m: 0 }
  for (let output = 0; output < outputs; output++) {
    for (let start = 0; start < inDim; start += BLOCK) {
      const row = rows[first + output]!
      const group = row * groups + Math.floor(start / groupSize)
      const length = Math.min(BLOCK, inDim - start)
      const from = row * inDim + start
      const zero = zeros === null ? (format === 'q4' ? 8 : 128) : zeros[group]!
      block.steps.fill(zero).set(steps.subarray(from, from + length))
      block.d = toFloat16(scales[group]!)
      if (format === 'q4') block.m = toFloat16(-zero * scales[group]!)
      if (((block.d | block.m) & 0x7c00) === 0x7c00) {
        const text = `a scale of ${scales[group]} in packed weights is beyond the range of f16`
        throw new TroupeError('invalid_model', text)
      }
      putBlock(format, tiles, inDim, output, start, block)
    }
  }
  return tiles
}

function putBlock(
  format: 'q8' | 'q4',
  { w, d, m }: PackedTiles,
  inDim: number,
  output: number,
  start: number,
  block: Block,
): void {
  const tile = Math.floor(output / TILE)
  const lane = output % TILE
  const base = tile * tileBytes(format, inDim).weights
  for (let i = 0; i < BLOCK; i++) {
    if (format === 'q8') w[base + byteIndex(start + i, lane)] = block.steps[i]!
    else {
      const { byte, high } = nibbleIndex(start + i, lane)
      w[base + byte]! |= high ? block.steps[i]! << 4 : block.steps[i]!
    }
  }
  const scale = (tile * Math.ceil(inDim / BLOCK) + start / BLOCK) * TILE + lane
  d[scale] = block.d
  if (format === 'q4') m[scale] = block.m
}
