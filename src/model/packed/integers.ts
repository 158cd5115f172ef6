import type { StepBits } from './matrix.ts'

/** Outputs handled together: the words of one row of a tile fill a cache line. */
const TILE = 16

/**
 * Unpacks 32-bit words that hold several rows of one column each, first row in the low bits.
 *
 * @param words `[ceil(rows · bits / 32), cols]`
 * @returns the transpose, `[cols, rows]`
 */
export function unpackDown(words: Int32Array, rows: number, cols: number, bits: StepBits): Uint8Array {
  const perWord = 32 / bits
  const mask = 2 ** bits - 1
  const steps = new Uint8Array(rows * cols)
  for (let tile = 0; tile < cols; tile += TILE) {
    for (let row = 0; row < rows; row += perWord) {
      const some = Math.min(perWord, rows - row)
      for (let col = tile; col < Math.min(cols, tile + TILE); col++) {
        const word = words[(row / perWord) * cols + col]!
        for (let i = 0; i < some; i++) steps[col * rows + row + i] = (word >>> (i * bits)) & mask
      }
    }
  }
  return steps
}

/**
 * Unpacks 32-bit words that hold several columns of one row each.
 *
 * @param words `[rows, ceil(cols · bits / 32)]`
 * @param order which column of its word each part holds, from the low bits on
 * @param transposed whether to return `[cols, rows]`
 */
export function unpackAcross(
  words: Int32Array,
  rows: number,
  cols: number,
  bits: StepBits,
  order: readonly number[] = Array.from({ length: 32 / bits }, (_, i) => i),
  transposed = true,
): Uint8Array {
  const perWord = 32 / bits
  const mask = 2 ** bits - 1
  const width = Math.ceil(cols / perWord)
  const steps = new Uint8Array(rows * cols)
  for (let word = 0; word < width; word++) {
    for (let part = 0; part < perWord; part++) {
      const col = word * perWord + order[part]!
      if (col >= cols) continue
      for (let row = 0; row < rows; row++) {
        steps[transposed ? col * rows + row : row * cols + col] = (words[row * width + word]! >>> (part * bits)) & mask
      }
    }
  }
  return steps
}

/** `[rows, cols]` as `[cols, rows]`. */
export function transposed(values: Float32Array, rows: number, cols: number): Float32Array {
  const turned = new Float32Array(values.length)
  for (let row = 0; row < rows; row++)
    for (let col = 0; col < cols; col++) turned[col * rows + row] = values[row * cols + col]!
  return turned
}
