/** A small seeded generator (PCG-XSH-RR 64/32, O'Neill 2014): one per sequence, so that a batch never changes a row's draws. */
export class RandomSource {
  #state: bigint

  constructor(seed: number) {
    this.#state = 0n
    this.#step()
    this.#state = (this.#state + BigInt(Math.trunc(seed))) & MASK
    this.#step()
  }

  /** Uniform in [0, 1) with 32 random bits. */
  next(): number {
    const state = this.#state
    this.#step()
    const shifted = Number((((state >> 18n) ^ state) >> 27n) & 0xffffffffn)
    const rotation = Number(state >> 59n)
    return (((shifted >>> rotation) | (shifted << (-rotation & 31))) >>> 0) / 2 ** 32
  }

  #step(): void {
    this.#state = (this.#state * MULTIPLIER + INCREMENT) & MASK
  }
}

const MASK = (1n << 64n) - 1n
const MULTIPLIER = 6364136223846793005n
const INCREMENT = 1442695040888963407n
