import type { StepBits } from '../quantize.ts'
import { packSteps } from '../quantize.ts'

/** What a packed weight of any format says: weight `[out, in]` = (step − zero) · scale. */
export interface PackedParts {
  readonly bits: StepBits
  readonly outDim: number
  readonly inDim: number
  /** Inputs that share a scale and a zero point; the last group may be shorter. */
  readonly groupSize: number
  /** `[out, in]`, inputs in the order of `inputs`. */
  readonly steps: Uint8Array
  /** `[out, groups]`; null = the middle of the range, 2^(bits − 1). */
  readonly zeros: Uint8Array | null
  /** `[out, groups]`. */
  readonly scales: Float32Array
  /** Which input every column multiplies; null = each its own. */
  readonly inputs: Int32Array | null
}

/** Rows in the layout of MatMulNBits. */
export interface PackedRows {
  /** `[rows, blocks, size · bits / 8]`. */
  readonly steps: Uint8Array
  /** `[rows, blocks]`. */
  readonly scales: Float32Array
  /** `[rows, ceil(blocks · bits / 8)]`. */
  readonly zeros: Uint8Array
}

/** A packed weight in the one form that all formats are read into. */
export class PackedMatrix {
  readonly parts: PackedParts
  readonly #middle: number

  constructor(parts: PackedParts) {
    this.parts = parts
    this.#middle = 2 ** (parts.bits - 1)
  }

  /** Fills `into` with the values of whole rows from row `first` on, inputs in the model's order. */
  dequantise(into: Float32Array, first: number): void {
    const { inDim, groupSize, steps, zeros, scales, inputs } = this.parts
    const groups = Math.ceil(inDim / groupSize)
    for (let row = 0; row < into.length / inDim; row++) {
      for (let group = 0; group < groups; group++) {
        const at = (first + row) * groups + group
        const zero = zeros === null ? this.#middle : zeros[at]!
        const scale = scales[at]!
        for (let i = group * groupSize; i < Math.min(inDim, (group + 1) * groupSize); i++) {
          const value = (steps[(first + row) * inDim + i]! - zero) * scale
          into[row * inDim + (inputs === null ? i : inputs[i]!)] = value
        }
      }
    }
  }

  /**
   * Rows for MatMulNBits in blocks of `size` inputs, a divisor of the group size (or anything where one group has all inputs). A short
   * last block is filled with zero points.
   */
  pack(first: number, rows: number, size: number): PackedRows {
    const { bits, inDim, groupSize, steps, zeros, scales } = this.parts
    const [blocks, groups] = [Math.ceil(inDim / size), Math.ceil(inDim / groupSize)]
    const blockBytes = (size * bits) / 8
    const zeroBytes = Math.ceil((blocks * bits) / 8)
    const packed = {
      steps: new Uint8Array(rows * blocks * blockBytes),
      scales: new Float32Array(rows * blocks),
      zeros: new Uint8Array(rows * zeroBytes),
    }
    const one = new Uint8Array(size)
    const rowZeros = new Uint8Array(Math.ceil(blocks / 2) * 2)
    for (let row = 0; row < rows; row++) {
      for (let block = 0; block < blocks; block++) {
        const group = (first + row) * groups + Math.floor((block * size) / groupSize)
        rowZeros[block] = zeros === null ? this.#middle : zeros[group]!
        const start = (first + row) * inDim + block * size
        const length = Math.min(size, inDim - block * size)
        one.set(steps.subarray(start, start + length))
        one.fill(rowZeros[block]!, length)
        packSteps(one, bits, packed.steps, (row * blocks + block) * blockBytes)
        packed.scales[row * blocks + block] = scales[group]!
      }
      packSteps(bits === 8 ? rowZeros.subarray(0, blocks) : rowZeros, bits, packed.zeros, row * zeroBytes)
    }
    return packed
  }
}
