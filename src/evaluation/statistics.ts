import { RandomSource } from '../engine/random.ts'
import { Breath } from './breath.ts'

/** A mean with its interval. */
export interface Estimate {
  readonly value: number
  readonly low: number
  readonly high: number
}

const MOST_DRAWS = 4_000_000
const RESAMPLES = { least: 200, most: 2_000 }

/**
 * A statistic of items with its percentile bootstrap interval (Efron 1979): items are drawn with replacement, as many as there are.
 *
 * @param items rows of one item each, such as its score, or what two mixes scored on it; not empty
 * @param statistic of the column sums and the number of items
 * @param confidence such as 0.95
 * @param seed the same seed gives the same interval
 */
export async function bootstrap(
  items: readonly (readonly number[])[],
  statistic: (sums: readonly number[], count: number) => number,
  { confidence, seed }: { readonly confidence: number; readonly seed: number },
): Promise<Estimate> {
  const breath = new Breath()
  const random = new FastRandom(seed)
  const width = items[0]?.length ?? 0
  const sumsOf = (pick: (i: number) => number): number[] => {
    const sums = new Array<number>(width).fill(0)
    for (let i = 0; i < items.length; i++) {
      const row = items[pick(i)]!
      for (let column = 0; column < width; column++) sums[column]! += row[column]!
    }
    return sums
  }
  const resamples = Math.round(Math.min(RESAMPLES.most, Math.max(RESAMPLES.least, MOST_DRAWS / items.length)))
  const drawn = new Float64Array(resamples)
  for (let i = 0; i < resamples; i++) {
    const sums = sumsOf(() => random.below(items.length))
    drawn[i] = statistic(sums, items.length)
    await breath.take()
  }
  drawn.sort()
  const value = statistic(
    sumsOf((i) => i),
    items.length,
  )
  return { value, low: quantile(drawn, (1 - confidence) / 2), high: quantile(drawn, (1 + confidence) / 2) }
}

/** Linear between the two nearest of sorted values, as numpy's default. */
function quantile(sorted: Float64Array, share: number): number {
  const at = share * (sorted.length - 1)
  const below = sorted[Math.floor(at)]!
  return below + (at - Math.floor(at)) * (sorted[Math.ceil(at)]! - below)
}

/** McNemar's exact test. */
export interface McNemar {
  /** Items that only the first got right, and only the second. */
  readonly only_a: number
  readonly only_b: number
  /** Probability of a difference as large or larger if both were equally good. */
  readonly p_value: number
}

/** Compares two mixes that passed or failed the same items (McNemar 1947, the exact form: a two-sided binomial test). */
export function mcNemar(a: readonly boolean[], b: readonly boolean[]): McNemar {
  let [onlyA, onlyB] = [0, 0]
  for (const [i, passed] of a.entries()) {
    if (passed && !b[i]) onlyA++
    if (!passed && b[i]) onlyB++
  }
  return { only_a: onlyA, only_b: onlyB, p_value: Math.min(1, 2 * halfBinomial(Math.min(onlyA, onlyB), onlyA + onlyB)) }
}

/** P(X ≤ k) of a fair coin thrown n times. */
function halfBinomial(k: number, n: number): number {
  let log = -n * Math.LN2
  let sum = Math.exp(log)
  for (let i = 1; i <= k; i++) {
    log += Math.log((n - i + 1) / i)
    sum += Math.exp(log)
  }
  return sum
}

/** The engine's generator gives the seed of a quick one (mulberry32): millions of draws are needed. */
class FastRandom {
  #state: number

  constructor(seed: number) {
    this.#state = Math.floor(new RandomSource(seed).next() * 2 ** 32)
  }

  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit)
  }
}
