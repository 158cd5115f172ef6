import { BLOCK, TILE } from '../model/tiles.ts'
import type { PreparedTensors } from './prepared-tensors.ts'

/** Some outputs of a part of a block: `count` of `outDim`, from `first` on. */
export interface PartOutputs {
  readonly block: string
  readonly inDim: number
  /** Tiles of the parts before this one. */
  readonly firstTile: number
  readonly first: number
  readonly count: number
}

/** Reads weights of linear blocks as rows of f32, whatever they were prepared to. Nothing here is shared with the engine's kernels. */
export class BlockReader {
  readonly #tensors: PreparedTensors

  constructor(tensors: PreparedTensors) {
    this.#tensors = tensors
  }

  /** Fills `into` with rows `[count, inDim]`. */
  rows(part: PartOutputs, into: Float32Array): void {
    const { block, inDim, firstTile, first, count } = part
    const order = this.#order(block, inDim)
    const firstRead = firstTile + Math.floor(first / TILE)
    const tiles = firstTile + Math.ceil((first + count) / TILE) - firstRead
    const read = this.#tileReader(block, inDim, firstRead, tiles)
    for (let row = 0; row < count; row++) {
      const tile = firstTile + Math.floor((first + row) / TILE) - firstRead
      const lane = (first + row) % TILE
      for (let column = 0; column < inDim; column++) {
        const input = order === null ? column : order[column]!
        into[row * inDim + input] = read(tile, lane, column)
      }
    }
  }

  /** Fills `into` with one row, counted within the first part. */
  row(block: string, row: number, into: Float32Array): void {
    this.rows({ block, inDim: into.length, firstTile: 0, first: row, count: 1 }, into)
  }

  /** `[count]`, from output `first` of the block on; zeros where the block has none. */
  bias(block: string, first: number, count: number): Float32Array {
    const values = new Float32Array(count)
    if (this.#tensors.has(`${block}.bias`)) this.#tensors.read(`${block}.bias`, values, first)
    return values
  }

  #order(block: string, inDim: number): Int32Array | null {
    if (!this.#tensors.has(`${block}.inputs`)) return null
    const order = new Int32Array(inDim)
    this.#tensors.read(`${block}.inputs`, order)
    return order
  }

  /** How to look up a weight in some tiles of a block. */
  #tileReader(
    block: string,
    inDim: number,
    first: number,
    tiles: number,
  ): (tile: number, lane: number, column: number) => number {
    const format = this.#tensors.formatOf(`${block}.w`)
    if (format === 'f32' || format === 'bf16') {
      const values = this.#tensors.widened(`${block}.w`, first * inDim * TILE, tiles * inDim * TILE)
      return (tile, lane, column) => values[(tile * inDim + column) * TILE + lane]!
    }
    const blocks = Math.ceil(inDim / BLOCK)
    const scales = this.#tensors.widened(`${block}.d`, first * blocks * TILE, tiles * blocks * TILE)
    const tileBytes = (blocks * BLOCK * TILE) / (format === 'q8' ? 1 : 2)
    const bytes = new Uint8Array(tiles * tileBytes)
    this.#tensors.read(`${block}.w`, bytes, first * tileBytes)
    if (format === 'q8') {
      return (tile, lane, column) => {
        const quad = tile * tileBytes + Math.floor(column / 4) * TILE * 4
        const scale = scales[(tile * blocks + Math.floor(column / BLOCK)) * TILE + lane]!
        return (bytes[quad + lane * 4 + (column % 4)]! - 128) * scale
      }
    }
    const minima = this.#tensors.widened(`${block}.m`, first * blocks * TILE, tiles * blocks * TILE)
    return (tile, lane, column) => {
      const within = column % BLOCK
      const number = Math.floor(column / BLOCK)
      const quad = tile * tileBytes + number * 256 + Math.floor((within % 16) / 4) * TILE * 4
      const pair = bytes[quad + lane * 4 + (within % 4)]!
      const at = (tile * blocks + number) * TILE + lane
      return (within < 16 ? pair & 15 : pair >> 4) * scales[at]! + minima[at]!
    }
  }
}
