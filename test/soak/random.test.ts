import { expect, it } from 'vitest'
import { runRandom } from './scenarios/random.ts'

it('gets every slot, lease and byte back after random load with cancellations and changes', async () => {
  const { violations, figures } = await runRandom({ seconds: 8, seed: 17 })
  expect(violations).toEqual([])
  // Otherwise the test proves nothing.
  for (const name of ['answered', 'cancelled', 'mixed', 'changes', 'evictions', 'checks'])
    expect(figures[name], name).toBeGreaterThan(5)
}, 180_000)
