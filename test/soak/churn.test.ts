import { expect, it } from 'vitest'
import { runChurn } from './scenarios/churn.ts'

it('answers by the right versions while adapters go through its tiers, and holds nothing afterwards', async () => {
  const { violations, figures } = await runChurn({ adapters: 30, seconds: 6, perSecond: 20, sampleMs: 200 })
  expect(violations).toEqual([])
  // Otherwise the test proves nothing.
  expect(figures.loads).toBeGreaterThan(20)
  expect(figures.changes).toBeGreaterThan(2)
  expect(figures.samples).toBeGreaterThan(3)
  expect(figures.residentEndMiB).toBeGreaterThan(0)
}, 180_000)
