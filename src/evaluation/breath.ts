import { setImmediate as yieldNow } from 'node:timers/promises'

const MOST_MS = 10

/** Lets requests go on during long computations on their thread. */
export class Breath {
  #since = performance.now()

  /** To be awaited again and again: lets others run where it was long since the last time. */
  async take(): Promise<void> {
    if (performance.now() - this.#since < MOST_MS) return
    await yieldNow()
    this.#since = performance.now()
  }
}
