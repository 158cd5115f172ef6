/** Two classes an octave: how many tokens steps had. */
const CLASSES_PER_OCTAVE = 2
/** Weight of the newest step in what its class costs. */
const PACE = 1 / 8
/** One step that was held up by something else counts for no more than this many usual ones. */
const MOST_TIMES = 4

interface Cost {
  /** Mean of the tokens of the steps in the class. */
  tokens: number
  seconds: number
}

/** What a step of so many tokens takes, learned from the steps themselves. */
export class StepCosts {
  readonly #classes: (Cost | undefined)[] = []
  /** The same, without gaps, in order of tokens; rebuilt when it is asked for. */
  #known: readonly Cost[] | null = null

  observe(tokens: number, seconds: number): void {
    const at = Math.round(Math.log2(tokens) * CLASSES_PER_OCTAVE)
    const cost = this.#classes[at]
    if (cost === undefined) this.#classes[at] = { tokens, seconds }
    else {
      const counted = Math.min(seconds, MOST_TIMES * cost.seconds)
      cost.seconds += (counted - cost.seconds) * PACE
      cost.tokens += (tokens - cost.tokens) * PACE
    }
    this.#known = null
  }

  /**
   * Seconds of a step: between known ones on a straight line, beyond the largest in proportion. Never less for more tokens.
   *
   * @returns null before anything was observed
   */
  estimate(tokens: number): number | null {
    const known = (this.#known ??= rising(this.#classes.filter((cost) => cost !== undefined)))
    const next = known.findIndex((cost) => cost.tokens >= tokens)
    const last = known[known.length - 1]
    if (last === undefined) return null
    if (next < 0) return (last.seconds * tokens) / last.tokens
    const [before, after] = [known[next - 1], known[next]!]
    if (before === undefined) return after.seconds
    const share = (tokens - before.tokens) / (after.tokens - before.tokens)
    return before.seconds + share * (after.seconds - before.seconds)
  }
}

/** A single step may have been slow by chance: larger ones that were faster tell so. */
function rising(costs: readonly Cost[]): readonly Cost[] {
  const sorted = [...costs].sort((a, b) => a.tokens - b.tokens)
  let least = Infinity
  return sorted
    .reverse()
    .map(({ tokens, seconds }) => ({ tokens, seconds: (least = Math.min(least, seconds)) }))
    .reverse()
}
