import { expect, it } from 'vitest'
import { runRaces } from './scenarios/races.ts'

it('keeps every invariant while fifty clients use, change and delete one adapter in any order', async () => {
  const { violations, figures } = await runRaces({ requests: 0, rounds: 8, seconds: 30 })
  expect(violations).toEqual([])
  expect(figures.races).toBeGreaterThan(0)
})
