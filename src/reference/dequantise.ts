/** Rows of a quantised weight as `prepared.ts` describes them. */
export interface QuantisedRows {
  readonly bits: 4 | 8
  /** Columns that share a scale. */
  readonly size: number
  readonly inDim: number
  /** `[rows, blocks, size · bits / 8]` */
  readonly steps: Uint8Array
  /** `[rows, blocks]` */
  readonly scales: Float32Array
  /** `[rows, ceil(blocks · bits / 8)]`; null = the middle of the range. */
  readonly zeros: Uint8Array | null
  /** The input that each column multiplies; null = its own. */
  readonly inputs: BigInt64Array | null
}

/** Writes `(step − zero) · scale` into `into` `[rows, inDim]`, every column at its input's place. */
export function dequantise(weight: QuantisedRows, rows: number, into: Float32Array): void {
  const { bits, size, inDim, steps, scales, zeros } = weight
  const order = weight.inputs && Int32Array.from(weight.inputs, Number)
  const blocks = Math.ceil(inDim / size)
  const zeroBytes = Math.ceil((blocks * bits) / 8)
  const middle = 2 ** (bits - 1)
  for (let row = 0; row < rows; row++) {
    const target = row * inDim
    for (let block = 0; block < blocks; block++) {
      const scale = scales[row * blocks + block]!
      const zero = zeros === null ? middle : stepAt(zeros, bits, row * zeroBytes * (8 / bits) + block)
      const from = (row * blocks + block) * size
      const first = block * size
      const end = Math.min(size, inDim - first)
      for (let i = 0; i < end; i++) {
        const value = (stepAt(steps, bits, from + i) - zero) * scale
        into[target + (order === null ? first + i : order[first + i]!)] = value
      }
    }
  }
}

/** One of the steps that lie one behind the other, at 4 bits two in a byte, the low half first. */
function stepAt(bytes: Uint8Array, bits: 4 | 8, index: number): number {
  if (bits === 8) return bytes[index]!
  return (bytes[index >> 1]! >> (4 * (index & 1))) & 15
}
