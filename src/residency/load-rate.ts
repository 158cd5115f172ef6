/** Assumed before anything was loaded: a slow disk, so that a plan rather promises too little. */
const FIRST_GUESS_BYTES_PER_MS = 100_000
const FIRST_GUESS_MS = 5
const WEIGHT = 0.2

/** How fast weights come from the store: a fixed time per load, learned from small ones, and a rate. */
export class LoadRate {
  #bytesPerMs = FIRST_GUESS_BYTES_PER_MS
  #fixedMs = FIRST_GUESS_MS

  /** Takes a load into the exponential means. */
  learn(bytes: number, ms: number): void {
    const expected = this.#fixedMs + bytes / this.#bytesPerMs
    const factor = Math.max(0.01, ms) / expected
    // Whichever part makes up more of the time gets more of the correction.
    const fixedShare = this.#fixedMs / expected
    this.#fixedMs *= 1 + WEIGHT * fixedShare * (factor - 1)
    this.#bytesPerMs /= 1 + WEIGHT * (1 - fixedShare) * (factor - 1)
  }

  /** Milliseconds a load of so many bytes will take. */
  estimate(bytes: number): number {
    return this.#fixedMs + bytes / this.#bytesPerMs
  }
}
