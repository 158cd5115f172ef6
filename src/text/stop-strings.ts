/** Text that is final, and whether a stop string came right after it. */
export interface ScannedText {
  readonly text: string
  readonly stopped: boolean
  /** The stop string that was met. */
  readonly stop: string | null
}

/**
 * Looks for stop strings in text that comes in pieces. The one that is complete first wins, of those that end together the longest;
 * so the result does not depend on how the text was cut. Only what could still become a stop string is held back.
 *
 * Every stop string has a Knuth-Morris-Pratt automaton (Knuth, Morris, Pratt 1977): its state is how many of its characters the text
 * so far ends with.
 */
export class StopStrings {
  readonly #stops: readonly string[]
  readonly #failures: readonly Int32Array[]
  readonly #states: number[]
  #held = ''
  #stopped = false

  /** Empty strings are left out: they would stop everything. */
  constructor(stops: readonly string[]) {
    this.#stops = stops.filter((stop) => stop.length > 0)
    this.#failures = this.#stops.map(failureFunction)
    this.#states = this.#stops.map(() => 0)
  }

  /** Takes the next piece. After a stop nothing more comes out. */
  push(piece: string): ScannedText {
    if (this.#stopped) return { text: '', stopped: true, stop: null }
    const text = this.#held + piece
    for (let end = this.#held.length; end < text.length; end++) {
      const stop = this.#advance(text.charCodeAt(end))
      if (stop === null) continue
      this.#stopped = true
      this.#held = ''
      return { text: text.slice(0, end + 1 - stop.length), stopped: true, stop }
    }
    const kept = text.length - Math.max(0, ...this.#states)
    this.#held = text.slice(kept)
    return { text: text.slice(0, kept), stopped: false, stop: null }
  }

  /** What is still held back: the text ended before it became a stop string. */
  flush(): string {
    const held = this.#held
    this.#held = ''
    this.#states.fill(0)
    return held
  }

  /** One UTF-16 unit further; the longest stop string that ends with it. */
  #advance(unit: number): string | null {
    let found: string | null = null
    this.#stops.forEach((stop, index) => {
      const failures = this.#failures[index]!
      let state = this.#states[index]!
      while (state > 0 && stop.charCodeAt(state) !== unit) state = failures[state - 1]!
      if (stop.charCodeAt(state) === unit) state++
      this.#states[index] = state
      if (state === stop.length && stop.length > (found?.length ?? 0)) found = stop
    })
    return found
  }
}

/** `result[i]`: length of the longest proper prefix of the pattern that also ends at its character `i`. */
function failureFunction(pattern: string): Int32Array {
  const failures = new Int32Array(pattern.length)
  for (let i = 1, length = 0; i < pattern.length; i++) {
    while (length > 0 && pattern.charCodeAt(i) !== pattern.charCodeAt(length)) length = failures[length - 1]!
    if (pattern.charCodeAt(i) === pattern.charCodeAt(length)) length++
    failures[i] = length
  }
  return failures
}
