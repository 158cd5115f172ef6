/** Values of one quantity, one of each round. */
export type Samples = readonly number[]

/**
 * Measures several things side by side: a round runs each once, in turn (A B A B), so that what slows the machine down for a while slows all
 * of them down. Warm-up rounds are not kept.
 */
export async function alternate<T>(
  contestants: ReadonlyMap<string, () => Promise<T>>,
  { warmUps, rounds }: { readonly warmUps: number; readonly rounds: number },
  onRun: (done: number, total: number, what: string) => void = () => undefined,
): Promise<Map<string, T[]>> {
  const results = new Map([...contestants.keys()].map((name): [string, T[]] => [name, []]))
  const total = (warmUps + rounds) * contestants.size
  let done = 0
  for (let round = -warmUps; round < rounds; round++) {
    for (const [name, run] of contestants) {
      const result = await run()
      if (round >= 0) results.get(name)!.push(result)
      onRun(++done, total, name)
    }
  }
  return results
}

/** The middle one; of an even number, the mean of the two in the middle. */
export function median(samples: Samples): number {
  const sorted = [...samples].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}
