/** Bits of a quantised weight in blocks: 4 in what we round, either in packed checkpoints. */
export type StepBits = 4 | 8

export const QUANT_BITS = 4

/** Inputs that share one scale in a block that we round ourselves. */
export const QUANT_BLOCK = 32

/** The step that stands for 0. */
const ZERO = 2 ** (QUANT_BITS - 1)
/**
 * Steps that the largest weight of a block may be mapped to. -8 uses the whole range -8…7; beyond it the
 * largest weights are clipped and all others get finer steps. A few more would lower the error by half a per cent.
 */
const ANCHORS: readonly number[] = [-8, -8.7, 7.2, 7.9]

/**
 * Quantises rows to 4 bits, symmetric with the zero point in the middle, one scale per block of inputs: the layout of ONNX Runtime's MatMulNBits
 * (weight ≈ (step - 8) · scale; two steps a byte, low nibble first). Of a few ways to round a block the one with the
 * least squared error is kept, with the scale that is optimal for it: for steps q and weights w that is Σqw / Σq², and the error is
 * Σw² - (Σqw)² / Σq².
 *
 * @param weights `[rows, cols]` row-major
 * @param steps receives `[rows, ceil(cols / size), size / 2]`
 * @param scales receives `[rows, ceil(cols / size)]`
 * @param size inputs of a block
 */
export function quantizeRows(
  weights: Float32Array,
  rows: number,
  cols: number,
  steps: Uint8Array,
  scales: Float32Array,
  size = QUANT_BLOCK,
): void {
  const groups = Math.ceil(cols / size)
  const block = new Float32Array(size)
  const rounded = new Uint8Array(size)
  const bytes = (size * QUANT_BITS) / 8
  for (let row = 0; row < rows; row++) {
    for (let group = 0; group < groups; group++) {
      const start = row * cols + group * size
      const length = Math.min(size, cols - group * size)
      for (let i = 0; i < length; i++) block[i] = weights[start + i]!
      block.fill(0, length)
      const target = row * groups + group
      scales[target] = quantizeBlock(block, rounded)
      packSteps(rounded, QUANT_BITS, steps, target * bytes)
    }
  }
}

/** Writes steps as bytes, at 4 bits two to each. */
export function packSteps(steps: Uint8Array, bits: StepBits, into: Uint8Array, at: number): void {
  if (bits === 8) into.set(steps, at)
  else for (let i = 0; i < steps.length / 2; i++) into[at + i] = steps[2 * i]! | (steps[2 * i + 1]! << 4)
}

/** Rounds one block to steps and returns its scale. */
function quantizeBlock(block: Float32Array, rounded: Uint8Array): number {
  let largest = 0
  for (let i = 0; i < block.length; i++) if (Math.abs(block[i]!) > Math.abs(largest)) largest = block[i]!
  let inverse = 0
  let scale = 0
  let best = 0
  if (largest !== 0) {
    for (let k = 0; k < ANCHORS.length; k++) {
      const candidate = ANCHORS[k]! / largest
      let sumQW = 0
      let sumQQ = 0
      for (let i = 0; i < block.length; i++) {
        const w = block[i]!
        const q = step(w * candidate) - ZERO
        sumQW += q * w
        sumQQ += q * q
      }
      const gain = (sumQW * sumQW) / sumQQ
      if (gain > best) {
        best = gain
        inverse = candidate
        scale = sumQW / sumQQ
      }
    }
  }
  for (let i = 0; i < block.length; i++) rounded[i] = step(block[i]! * inverse)
  return scale
}

/** Nearest of the steps to `value + ZERO`. */
function step(value: number): number {
  const q = (value + ZERO + 0.5) | 0
  return q < 0 ? 0 : q >= 2 * ZERO ? 2 * ZERO - 1 : q
}
