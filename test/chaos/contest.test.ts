import { expect, it } from 'vitest'
import { runContest } from './scenarios/contest.ts'

it('records every change of one task that eight servers contend for once, or refuses it, and all see the same', async () => {
  const { violations, figures } = await runContest({ requests: 80, rounds: 1, seconds: 60 })
  expect(violations).toEqual([])
  // Otherwise the test proves nothing.
  expect(figures.applied).toBeGreaterThan(20)
  expect(figures.conflicts).toBeGreaterThan(0)
}, 120_000)
