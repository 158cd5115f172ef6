import type { StepCosts } from './step-costs.ts'

/** How much longer a step may become for rows that gain nothing by it. */
const MOST_STRETCH = 1.5

/**
 * How many of its guessed tokens every row gets verified, so that the step gives most tokens for its time.
 *
 * @param rows of the step, with or without guesses
 * @param chances by row with guesses: the chance that a token and all before it come; falling
 * @param room most guessed tokens of all rows together
 * @returns by row with guesses, how many of them
 */
export function chooseDrafts(
  rows: number,
  chances: readonly (readonly number[])[],
  room: number,
  costs: Pick<StepCosts, 'estimate'>,
): readonly number[] {
  const plain = costs.estimate(rows)
  const lengths = chances.map(() => 0)
  if (plain === null) return lengths
  const guesses = chances.flatMap((row, index) => row.map((chance) => ({ index, chance })))
  // Stable: of equal chances the earlier token of a row comes first.
  guesses.sort((a, b) => b.chance - a.chance)
  const grown = lengths.slice()
  let gaining = 0
  let expected = rows
  let best = rows / plain
  for (const [i, { index, chance }] of guesses.slice(0, room).entries()) {
    if (grown[index]!++ === 0) gaining++
    expected += chance
    const seconds = costs.estimate(rows + i + 1)!
    if (gaining < rows && seconds > MOST_STRETCH * plain) continue
    if (expected / seconds <= best) continue
    best = expected / seconds
    for (const [row, length] of grown.entries()) lengths[row] = length
  }
  return lengths
}
