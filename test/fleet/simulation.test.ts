import { expect, it } from 'vitest'
import { Ring } from './scenarios/ring.ts'
import { simulate } from './scenarios/simulation.ts'

const PLAN = {
  replicas: 4,
  adapters: 100,
  requests: 2_000,
  perSecond: 40,
  memoryBytes: 2e9,
  zipf: 1,
  fails: null,
} as const

it('has every adapter at one replica where requests go by adapter, and at all of them where they take turns', async () => {
  const [byAdapter, inTurns] = [
    await simulate({ ...PLAN, placement: 'affinity' }),
    await simulate({ ...PLAN, placement: 'turns' }),
  ]
  expect(byAdapter.requests).toBe(PLAN.requests)
  expect(byAdapter.coldLoads).toBeLessThan(inTurns.coldLoads / 2)
  expect(byAdapter.adaptersPerReplica).toBeLessThan(inTurns.adaptersPerReplica / 2)
})

it('loses nothing with a replica that fails, and loads only what was there', async () => {
  const calm = await simulate({ ...PLAN, placement: 'affinity' })
  const failing = await simulate({ ...PLAN, placement: 'affinity', fails: { from: 0.4, to: 0.6 } })
  expect(failing.requests).toBe(PLAN.requests)
  expect(failing.sentAgain).toBeGreaterThan(0)
  expect(failing.coldLoads).toBeGreaterThan(calm.coldLoads)
  expect(failing.coldLoads).toBeLessThan(2 * PLAN.adapters)
})

it('goes round a replica that is down or has more than twice its share', () => {
  const ring = new Ring(4, 2)
  const idle = [0, 0, 0, 0]
  const home = ring.choose('a', idle)!
  expect(ring.choose('a', idle)).toBe(home)
  const down = idle.map((count, replica) => (replica === home ? null : count))
  const second = ring.choose('a', down)
  expect(second).not.toBe(home)
  expect(
    ring.choose(
      'a',
      idle.map((_, replica) => (replica === home ? 100 : 10)),
    ),
  ).toBe(second)
  expect(ring.choose('a', [null, null, null, null])).toBeNull()
  const homes = Array.from({ length: 1_000 }, (_, n) => ring.choose(`adapter-${n}`, idle))
  for (const replica of [0, 1, 2, 3]) expect(homes.filter((one) => one === replica).length).toBeGreaterThan(150)
})
