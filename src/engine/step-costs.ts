/** Two classes an octave: how many tokens steps had. */
const CLASSES_PER_OCTAVE = 2
/** Weight of the newest step in what its class costs. */
const PACE = 1 / 8
/** One step that was held up by something else counts for no more than this many usual ones. */
const MOST_TIMES = 4

/** What was measured so many steps ago counts half. */
const HALF_LIFE = 64

interface Cost {
  /** Mean of the tokens of the steps in the class. */
  tokens: number
  seconds: number
  /** The step that was last in the class. */
  latest: number
}

/** What a step of so many tokens takes, learned from the steps themselves. */
export class StepCosts {
  readonly #classes: (Cost | undefined)[] = []
  /** The same, without gaps, in order of tokens; rebuilt when it is asked for. */
  #known: readonly Point[] | null = null
  #steps = 0

  observe(tokens: number, seconds: number): void {
    const at = Math.round(Math.log2(tokens) * CLASSES_PER_OCTAVE)
    const cost = this.#classes[at]
    const latest = ++this.#steps
    if (cost === undefined) this.#classes[at] = { tokens, seconds, latest }
    else {
      const counted = Math.min(seconds, MOST_TIMES * cost.seconds)
      cost.seconds += (counted - cost.seconds) * PACE
      cost.tokens += (tokens - cost.tokens) * PACE
      cost.latest = latest
    }
    this.#known = null
  }

  /**
   * Seconds of a step: between known ones on a straight line, beyond the largest in proportion. Never less for more tokens.
   *
   * @returns null before anything was observed
   */
  estimate(tokens: number): number | null {
    const known = (this.#known ??= this.#rising())
    const next = known.findIndex((cost) => cost.tokens >= tokens)
    const last = known[known.length - 1]
    if (last === undefined) return null
    if (next < 0) return (last.seconds * tokens) / last.tokens
    const [before, after] = [known[next - 1], known[next]!]
    if (before === undefined) return after.seconds
    const share = (tokens - before.tokens) / (after.tokens - before.tokens)
    return before.seconds + share * (after.seconds - before.seconds)
  }

  /** Where more tokens seem to take less time, both take the mean (isotonic regression): one was measured badly, or long ago. */
  #rising(): readonly Point[] {
    const runs: { points: number[]; seconds: number; weight: number }[] = []
    const costs = this.#classes.filter((cost) => cost !== undefined).sort((a, b) => a.tokens - b.tokens)
    for (const { tokens, seconds, latest } of costs) {
      let run = { points: [tokens], seconds, weight: 2 ** ((latest - this.#steps) / HALF_LIFE) }
      for (let last = runs.at(-1); last !== undefined && last.seconds > run.seconds; last = runs.at(-1)) {
        const weight = last.weight + run.weight
        const mean = (last.seconds * last.weight + run.seconds * run.weight) / weight
        run = { points: [...last.points, ...run.points], seconds: mean, weight }
        runs.pop()
      }
      runs.push(run)
    }
    return runs.flatMap(({ points, seconds }) => points.map((tokens) => ({ tokens, seconds })))
  }
}

interface Point {
  readonly tokens: number
  readonly seconds: number
}
