import type { StepCosts } from './step-costs.ts'

/** Longest time between two tokens of a sequence while prompts of others are evaluated. */
const LONGEST_GAP_SECONDS = 0.25
/** Longest step where nobody waits for its next token: until then nobody is heard, neither new requests nor those that end. */
const LONGEST_STEP_SECONDS = 1
/** How much longer a step with prompts may be than one without: below 2, since steps vary. */
const STRETCH = 1.8
/** Prompts get on by so many tokens whatever it costs: kernels take eight rows for little more than one. */
const LEAST_TOKENS = 8
/** Taken before anything is known. */
const FIRST_TOKENS = 32

/** What is in the step before prompts, in tokens. */
export interface StepSoFar {
  /** Rows that each get their next token. */
  readonly rows: number
  readonly drafted: number
}

/**
 * How many prompt tokens a step takes besides its rows.
 *
 * @param most tokens of the whole step
 */
export function promptBudget({ rows, drafted }: StepSoFar, most: number, costs: StepCosts): number {
  const taken = rows + drafted
  const room = most - taken
  const alone = rows === 0 ? null : costs.estimate(rows)
  const longest = rows === 0 ? LONGEST_STEP_SECONDS : Math.min(LONGEST_GAP_SECONDS, (alone ?? 0) * STRETCH)
  if (costs.estimate(1) === null) return Math.min(room, FIRST_TOKENS)
  let [fits, over] = [0, room + 1]
  while (over - fits > 1) {
    const middle = (fits + over) >> 1
    if (costs.estimate(taken + middle)! <= longest) fits = middle
    else over = middle
  }
  return Math.max(0, Math.min(room, Math.max(fits, LEAST_TOKENS)))
}
