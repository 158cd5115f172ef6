import { QUANT_BLOCK } from './layout.ts'

/**
 * Steps that the largest weight of a block may be mapped to. -8 uses the whole range -8…7; beyond it the
 * largest weights are clipped and all others get finer steps. A few more would lower the error by half a per cent.
 */
const ANCHORS = [-8, -8.7, 7.2, 7.9]

/**
 * Quantises rows to 4 bits, symmetric with zero point 8, one scale per 32 inputs: the layout of ONNX Runtime's MatMulNBits
 * (weight ≈ (nibble - 8) · scale, low nibble first). Of a few ways to round a block the one with the least squared error is kept,
 * with the scale that is optimal for it: for steps q and weights w that is Σqw / Σq², and the error is Σw² - (Σqw)² / Σq².
 *
 * @param weights `[rows, cols]` row-major
 * @param q4 receives `[rows, ceil(cols / 32), 16]`
 * @param scales receives `[rows, ceil(cols / 32)]`
 */
export function quantizeRows(
  weights: Float32Array,
  rows: number,
  cols: number,
  q4: Uint8Array,
  scales: Float32Array,
): void {
  const groups = Math.ceil(cols / QUANT_BLOCK)
  const block = new Float32Array(QUANT_BLOCK)
  for (let row = 0; row < rows; row++) {
    for (let group = 0; group < groups; group++) {
      const start = row * cols + group * QUANT_BLOCK
      const length = Math.min(QUANT_BLOCK, cols - group * QUANT_BLOCK)
      for (let i = 0; i < length; i++) block[i] = weights[start + i]!
      block.fill(0, length)
      const target = row * groups + group
      scales[target] = quantizeBlock(block, q4, target * (QUANT_BLOCK / 2))
    }
  }
}

/** Writes the 16 bytes of one block and returns its scale. */
function quantizeBlock(block: Float32Array, q4: Uint8Array, at: number): number {
  let largest = 0
  for (let i = 0; i < QUANT_BLOCK; i++) if (Math.abs(block[i]!) > Math.abs(largest)) largest = block[i]!
  let inverse = 0
  let scale = 0
  let best = 0
  if (largest !== 0) {
    for (let k = 0; k < ANCHORS.length; k++) {
      const candidate = ANCHORS[k]! / largest
      let sumQW = 0
      let sumQQ = 0
      for (let i = 0; i < QUANT_BLOCK; i++) {
        const w = block[i]!
        const q = step(w * candidate) - 8
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
  for (let i = 0; i < QUANT_BLOCK / 2; i++) {
    const low = step(block[2 * i]! * inverse)
    const high = step(block[2 * i + 1]! * inverse)
    q4[at + i] = low | (high << 4)
  }
  return scale
}

/** Nearest of the steps 0…15 to `value + 8`. */
function step(value: number): number {
  const q = (value + 8.5) | 0
  return q < 0 ? 0 : q > 15 ? 15 : q
}
