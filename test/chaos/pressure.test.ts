import { expect, it } from 'vitest'
import { runPressure } from './scenarios/pressure.ts'

it('answers rightly and within its budgets while twice as many adapters are hot as fit', async () => {
  const { violations, figures } = await runPressure({ requests: 300, rounds: 1, seconds: 60 })
  expect(violations).toEqual([])
  // Otherwise the test proves nothing.
  expect(figures.scrapes).toBeGreaterThan(5)
}, 120_000)
