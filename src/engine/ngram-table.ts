/** What followed an n-gram. */
export interface Follower {
  /** What followed it last. */
  readonly token: number
  /** How often in a row that token had followed it before. */
  readonly streak: number
}

const MOST_STREAK = 255
const MIX = 0x9e3779b1
const SEED = 0x85ebca6b

/**
 * Which token followed each n-gram of some texts last. Of fixed size: every n-gram has one place, and one that comes later takes it. So what
 * is told may be outdated or missing; a follower is a guess, which nobody may rely on.
 */
export class NgramTable {
  readonly #shift: number
  readonly #keys: Int32Array
  /** One more than the token; 0 = free. */
  readonly #tokens: Int32Array
  readonly #streaks: Uint8Array

  /** @param entries n-grams to make room for; rounded up to a power of two */
  constructor(entries: number) {
    const bits = Math.max(4, Math.ceil(Math.log2(entries)))
    this.#shift = 32 - bits
    this.#keys = new Int32Array(2 ** bits)
    this.#tokens = new Int32Array(2 ** bits)
    this.#streaks = new Uint8Array(2 ** bits)
  }

  find(key: number): Follower | null {
    const place = key >>> this.#shift
    if (this.#keys[place] !== key || this.#tokens[place] === 0) return null
    return { token: this.#tokens[place]! - 1, streak: this.#streaks[place]! }
  }

  note(key: number, token: number): void {
    const place = key >>> this.#shift
    const same = this.#keys[place] === key && this.#tokens[place] === token + 1
    this.#streaks[place] = same ? Math.min(MOST_STREAK, this.#streaks[place]! + 1) : 0
    this.#keys[place] = key
    this.#tokens[place] = token + 1
  }
}

/** Key of the `n` tokens before `end`: 32 bits, the upper ones well mixed (multiplicative hashing, Knuth). */
export function ngramKey(tokens: Int32Array, end: number, n: number): number {
  let key = Math.imul(n, SEED)
  for (let i = end - n; i < end; i++) key = Math.imul(key ^ (key >>> 15) ^ (tokens[i]! + 1), MIX)
  return key
}
