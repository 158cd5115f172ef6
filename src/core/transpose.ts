/** Side of the square tiles: source rows and target rows of one tile stay in the first-level cache. */
const TILE = 32
/** Columns moved together: what a cache line of the source brings is used while it is there. */
const LANES = 4

/**
 * Writes the transpose of `source` `[rows, cols]` into `target` `[cols, stride]`, from column `column` on.
 * Fused blocks are made by writing several sources side by side.
 */
export function transposeInto<T extends Float32Array | Int8Array>(
  source: T,
  rows: number,
  cols: number,
  target: T,
  stride: number,
  column: number,
): void {
  for (let row0 = 0; row0 < rows; row0 += TILE) {
    const row1 = Math.min(rows, row0 + TILE)
    for (let col0 = 0; col0 < cols; col0 += TILE) {
      const col1 = Math.min(cols, col0 + TILE)
      let col = col0
      for (; col + LANES <= col1; col += LANES) {
        let from = row0 * cols + col
        let to = col * stride + column + row0
        for (let row = row0; row < row1; row++) {
          target[to] = source[from]!
          target[to + stride] = source[from + 1]!
          target[to + 2 * stride] = source[from + 2]!
          target[to + 3 * stride] = source[from + 3]!
          from += cols
          to++
        }
      }
      for (; col < col1; col++) {
        const base = col * stride + column
        for (let row = row0; row < row1; row++) target[base + row] = source[row * cols + col]!
      }
    }
  }
}
