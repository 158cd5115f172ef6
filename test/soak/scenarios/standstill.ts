import { monitorEventLoopDelay } from 'node:perf_hooks'

const RESOLUTION_MS = 20
/** Half of what the headers of a request may take: the rest is the load's. */
const LONG_MS = 5_000

/** How long this process stood still, at most: what arrives after that may truthfully be refused as late. */
export class Standstill {
  readonly #delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS })

  constructor() {
    this.#delay.enable()
  }

  get longestMs(): number {
    return this.#delay.max / 1e6
  }

  /** Whether it was long enough for requests to be late. */
  get isLong(): boolean {
    return this.longestMs >= LONG_MS
  }

  stop(): void {
    this.#delay.disable()
  }
}
