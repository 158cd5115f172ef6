const LEVELS = 1 << 16

/** Uniform random numbers that depend on nothing but the seed (xorshift32, Marsaglia 2003), two from each step. */
export class Noise {
  #state: number
  readonly #levels = new Map<number, Float32Array>()

  constructor(seed: number) {
    // Neighbouring seeds would begin alike: spread them, and keep off zero, which the generator never leaves.
    this.#state = Math.imul(seed + 1, 0x9e3779b1) | 1
    for (let i = 0; i < 16; i++) this.#step()
  }

  /** A whole number below `limit`. */
  below(limit: number): number {
    return (this.#step() >>> 0) % limit
  }

  /** Fills with f32 values of mean 0 and this standard deviation. */
  f32(values: Float32Array, deviation: number): void {
    const table = this.#levelsOf(deviation)
    for (let i = 0; i < values.length; i += 2) {
      const random = this.#step()
      values[i] = table[random & 0xffff]!
      if (i + 1 < values.length) values[i + 1] = table[random >>> 16]!
    }
  }

  /** Fills with the bits of such values in bf16. */
  bf16(bits: Uint16Array, deviation: number): void {
    // The upper half of an f32 is its bf16; little-endian, so it lies at the odd places.
    const halves = new Uint16Array(this.#levelsOf(deviation).buffer)
    for (let i = 0; i < bits.length; i += 2) {
      const random = this.#step()
      bits[i] = halves[2 * (random & 0xffff) + 1]!
      if (i + 1 < bits.length) bits[i + 1] = halves[2 * (random >>> 16) + 1]!
    }
  }

  /** All values that 16 random bits can stand for: a uniform distribution of mean 0. */
  #levelsOf(deviation: number): Float32Array {
    const known = this.#levels.get(deviation)
    if (known) return known
    const width = deviation * Math.sqrt(12)
    const made = Float32Array.from({ length: LEVELS }, (_, level) => ((level + 0.5) / LEVELS - 0.5) * width)
    this.#levels.set(deviation, made)
    return made
  }

  #step(): number {
    let x = this.#state
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    this.#state = x
    return x
  }
}
