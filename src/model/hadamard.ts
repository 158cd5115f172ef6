/** Inputs that are turned together at most. More spread outliers a little further and cost as much more. */
const LARGEST_MATRIX = 64

/** How many neighbouring inputs of a block are turned together: the largest power of two that divides them, at most 64. */
export function hadamardSize(inDim: number): number {
  return Math.min(LARGEST_MATRIX, inDim & -inDim)
}

/**
 * What spreads the outliers of activations over their neighbours before they are rounded: Sylvester's Hadamard matrix `[size, size]`
 * over √size. It is symmetric and its own inverse, so `(x · R)(W · R)ᵀ = x · Wᵀ`, and turned twice is not turned.
 * (Ashkboos et al., QuaRot, 2024, use it for the same end.)
 *
 * @param size a power of two
 */
export function hadamardMatrix(size: number): Float32Array {
  const length = 1 / Math.sqrt(size)
  // Negative where row and column have an odd number of bits in common.
  return Float32Array.from({ length: size * size }, (_, i) =>
    isOdd(Math.floor(i / size) & (i % size)) ? -length : length,
  )
}

/** Multiplies every `size` neighbours of a row by `hadamardMatrix(size)`, in place, in `log2(size)` passes of sums and differences. */
export function hadamardInPlace(values: Float32Array, size: number): void {
  const length = 1 / Math.sqrt(size)
  for (let start = 0; start < values.length; start += size) {
    for (let half = 1; half < size; half *= 2) {
      for (let group = start; group < start + size; group += 2 * half) {
        for (let i = group; i < group + half; i++) {
          const [a, b] = [values[i]!, values[i + half]!]
          values[i] = a + b
          values[i + half] = a - b
        }
      }
    }
    for (let i = start; i < start + size; i++) values[i]! *= length
  }
}

function isOdd(bits: number): boolean {
  let odd = false
  for (let rest = bits; rest !== 0; rest &= rest - 1) odd = !odd
  return odd
}
