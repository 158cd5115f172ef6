import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { planEviction } from '../../src/residency/eviction-plan.ts'
import { MemoryTier } from '../../src/residency/memory-tier.ts'
import { fakeDigest, fakeWeights } from '../support/fake-adapter.ts'
import { FakeHost } from '../support/fake-host.ts'
import { codeOf, openRooms, upload } from '../support/rooms.ts'

describe('planEviction', () => {
  it('foretells what the memory tier then does', async () => {
    const names = fc.constantFrom('a', 'b', 'c', 'd', 'e')
    await fc.assert(
      fc.asyncProperty(
        fc.array(names, { maxLength: 12 }),
        fc.uniqueArray(names, { minLength: 1, maxLength: 3 }),
        fc.uniqueArray(names, { maxLength: 2 }),
        async (history, wanted, running) => {
          const host = new FakeHost()
          const tier = new MemoryTier({ budgetBytes: 250, host, waitMs: 1 })
          const request = (digest: string) => {
            const bytes = 30 + digest.charCodeAt(0) - 60
            return { digest, bytes, load: () => Promise.resolve(fakeWeights(digest, 1, bytes)) }
          }
          for (const name of history) (await tier.pin([request(name)])).release()
          const pins = await Promise.all(running.map((name) => tier.pin([request(name)])))
          const plan = planEviction(tier.content(), wanted.map(request))
          const before = new Set(host.held.keys())
          const outcome = await codeOf(async () => (await tier.pin(wanted.map(request), false)).release())
          expect(outcome === 'none').toBe(plan.fits)
          const gone = [...before].filter((digest) => !host.held.has(digest))
          expect(gone.sort()).toEqual([...plan.evicts].sort())
          for (const pin of pins) pin.release()
        },
      ),
      { numRuns: 200 },
    )
  })
})

describe('plan', () => {
  it('says where versions are, who would leave and what it costs, and does nothing', async () => {
    const first = await openRooms()
    for (const name of ['a', 'b', 'c', 'acme/d']) await upload(first.rooms, name, { effect: 1, salt: name })
    await first.rooms.close()
    const host = Object.assign(new FakeHost(), {
      residents: async () => ({
        budgetBytes: 150,
        residents: [{ digest: fakeDigest({ effect: 1, salt: 'a' }), bytes: 100, pinned: true }],
        loadedBytes: 1_000,
        loadMs: 10,
      }),
    })
    const { rooms } = await openRooms({ storeDir: first.storeDir, memoryBytes: 250, host })
    for (const model of ['a', 'b']) (await rooms.residency.acquire(rooms.catalogue.resolve({ model }, 'x'))).release()
    const before = rooms.stats().memory
    const plan = await rooms.residency.plan([{ name: 'a' }, { name: 'c', version: 1 }], 'x')
    expect(plan.adapters).toMatchObject([
      { adapter: 'a', version: 1, bytes: 100, deviceBytes: 136, tier: 'hot', loadMs: 0 },
      { adapter: 'c', version: 1, tier: 'cold' },
    ])
    expect(plan.adapters[1]!.loadMs).toBeGreaterThan(1)
    expect(plan.memory).toMatchObject({ fits: true, neededBytes: 100, freeBytes: 50, evicts: [{ adapter: 'b' }] })
    // One rank row of q_proj in both layers: 8 values in, 8 out and a bias, of 4 bytes.
    expect(plan.device).toMatchObject({ fits: false, neededBytes: 136, freeBytes: 50, evicts: [] })
    expect(rooms.stats().memory).toEqual(before)
    expect(await codeOf(() => rooms.residency.plan([{ name: 'acme/d' }], 'x'))).toBe('adapter_not_found')
    expect(await codeOf(() => rooms.residency.plan([{ name: 'a', version: 2 }], 'x'))).toBe('version_not_found')
  })
})
