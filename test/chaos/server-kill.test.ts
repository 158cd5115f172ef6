import { expect, it } from 'vitest'
import { runServerKills } from './scenarios/server-kill.ts'

it('serves after a kill -9 of the whole server what it acknowledged before', async () => {
  const { violations, figures } = await runServerKills({ requests: 0, rounds: 2, seconds: 60 })
  expect(violations).toEqual([])
  // Otherwise the test proves nothing.
  expect(figures.acknowledged).toBeGreaterThan(5)
  expect(figures.duringUploads! + figures.duringActivations! + figures.duringDeletions!).toBeGreaterThan(0)
}, 120_000)
