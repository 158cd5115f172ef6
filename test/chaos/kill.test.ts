import { expect, it } from 'vitest'
import { runKills } from './scenarios/kill.ts'

it('has everything it acknowledged, and nothing half-written, after a kill -9 at any instant', async () => {
  const { violations, figures } = await runKills({ requests: 0, rounds: 8, seconds: 60 })
  expect(violations).toEqual([])
  // Otherwise the test proves nothing.
  expect(figures.acknowledged).toBeGreaterThan(20)
  expect(figures.pending).toBeGreaterThan(0)
  expect(figures.versions).toBeGreaterThan(0)
}, 120_000)
