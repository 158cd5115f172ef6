/** Bits of a packed weight. */
export type StepBits = 4 | 8

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
}
