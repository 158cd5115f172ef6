/**
 * Draws ranks 0 … count − 1 whose probabilities fall with a power of the rank: p(k) ∝ 1 / (k + 1)^exponent (Zipf). Exponent 0 makes all
 * equally likely.
 */
export class ZipfRanks {
  readonly #cumulative: Float64Array
  readonly #random: () => number

  /** @param random values from 0 to below 1 */
  constructor(count: number, exponent: number, random: () => number) {
    this.#random = random
    this.#cumulative = new Float64Array(count)
    let sum = 0
    for (let rank = 0; rank < count; rank++) {
      sum += (rank + 1) ** -exponent
      this.#cumulative[rank] = sum
    }
  }

  draw(): number {
    const total = this.#cumulative.at(-1)!
    const at = this.#random() * total
    let [low, high] = [0, this.#cumulative.length - 1]
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#cumulative[middle]! > at) high = middle
      else low = middle + 1
    }
    return low
  }
}
