import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import type { AdapterWeights } from '../../src/core/branch.ts'
import type { Pin } from '../../src/residency/memory-tier.ts'
import { MemoryTier } from '../../src/residency/memory-tier.ts'
import type { PinRequest } from '../../src/residency/resident-weights.ts'
import { fakeWeights } from '../support/fake-adapter.ts'
import { FakeHost } from '../support/fake-host.ts'
import { codeOf } from '../support/rooms.ts'

/** A load whose end the test decides. */
class ManualLoad {
  readonly #resolvers: {
    resolve: (weights: AdapterWeights) => void
    reject: (error: Error) => void
    digest: string
    bytes: number
  }[] = []
  started = 0

  request(digest: string, bytes: number, actual = bytes): PinRequest {
    const load = (): Promise<AdapterWeights> => {
      this.started++
      return new Promise((resolve, reject) => this.#resolvers.push({ resolve, reject, digest, bytes: actual }))
    }
    return { digest, bytes, load }
  }

  get pending(): number {
    return this.#resolvers.length
  }

  finish(index = 0): void {
    const [load] = this.#resolvers.splice(index, 1)
    load?.resolve(fakeWeights(load.digest, 1, load.bytes))
  }

  fail(index = 0): void {
    const [load] = this.#resolvers.splice(index, 1)
    load?.reject(new Error('read failed'))
  }
}

function instant(digest: string, bytes = 100): PinRequest {
  return { digest, bytes, load: () => Promise.resolve(fakeWeights(digest, 1, bytes)) }
}

/** Loads whose memory a test can follow: `given` is what each was offered. */
class ExclusiveLoads {
  readonly given: (SharedArrayBuffer | null)[] = []

  request(digest: string, floats: number, exclusive = true): PinRequest {
    const bytes = 4 * floats
    const load = (memory: SharedArrayBuffer | null): Promise<AdapterWeights> => {
      this.given.push(memory)
      const [branch] = fakeWeights(digest, 1, bytes).branches
      const down = new Float32Array(memory ?? new SharedArrayBuffer(bytes))
      return Promise.resolve({ ...fakeWeights(digest, 1, bytes), branches: [{ ...branch!, down }] })
    }
    return { digest, bytes, readBytes: bytes, load, ...(exclusive ? { exclusive } : {}) }
  }
}

function tierOf(budgetBytes: number, waitMs = 50): { tier: MemoryTier; host: FakeHost; idle: string[] } {
  const host = new FakeHost()
  const idle: string[] = []
  const tier = new MemoryTier({ budgetBytes, host, waitMs, maxWaiting: 8, onIdle: (digest) => idle.push(digest) })
  return { tier, host, idle }
}

/** Lets everything that is ready run. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve()
}

describe('MemoryTier', () => {
  it('loads once for a hundred callers', async () => {
    const { tier, host } = tierOf(1_000)
    const load = new ManualLoad()
    const pins = Array.from({ length: 100 }, () => tier.pin([load.request('a', 100)]))
    await settle()
    expect(load.started).toBe(1)
    load.finish()
    for (const pin of await Promise.all(pins)) {
      expect(pin.tiers.get('a')).toBe('cold')
      pin.release()
    }
    const again = await tier.pin([load.request('a', 100)])
    expect(again.tiers.get('a')).toBe('hot')
    expect([load.started, host.holds, tier.stats().loads, tier.stats().hits]).toEqual([1, 1, 1, 1])
  })

  it('evicts the least recently used, never what is pinned', async () => {
    const { tier, host } = tierOf(300)
    const pinned = await tier.pin([instant('a')])
    for (const digest of ['b', 'c', 'b', 'd', 'e']) (await tier.pin([instant(digest)])).release()
    expect([...host.held.keys()].sort()).toEqual(['a', 'd', 'e'])
    expect(tier.stats()).toMatchObject({ bytes: 300, versions: 3, evictions: 2 })
    pinned.release()
    ;(await tier.pin([instant('f')])).release()
    expect(host.held.has('d')).toBe(false)
    tier.checkIntegrity()
  })

  it('lets a request wait for memory, in order, and serves it when others release', async () => {
    const { tier } = tierOf(200, 60_000)
    const first = await tier.pin([instant('a'), instant('b')])
    const order: string[] = []
    const big = tier.pin([instant('c'), instant('d')]).then((pin) => {
      order.push('big')
      return pin
    })
    const small = tier.pin([instant('e')]).then((pin) => {
      order.push('small')
      return pin
    })
    const sharing = await tier.pin([instant('a')])
    expect(tier.stats().waiting).toBe(2)
    first.release()
    await settle()
    expect(order).toEqual([])
    sharing.release()
    ;(await big).release()
    ;(await small).release()
    expect(order).toEqual(['big', 'small'])
    tier.checkIntegrity()
  })

  it('lets nobody overtake who waits', async () => {
    const { tier } = tierOf(200, 60_000)
    const first = await tier.pin([instant('a')])
    const big = tier.pin([instant('b'), instant('c')])
    let overtaken = false
    const small = tier.pin([instant('d')]).then((pin) => {
      overtaken = true
      return pin
    })
    await settle()
    expect([overtaken, tier.stats().waiting]).toEqual([false, 2])
    first.release()
    ;(await big).release()
    ;(await small).release()
    tier.checkIntegrity()
  })

  it('refuses clearly when memory does not come free, and when it never could', async () => {
    const { tier } = tierOf(200, 10)
    const pin = await tier.pin([instant('a', 150)])
    expect(await codeOf(() => tier.pin([instant('b')]))).toBe('overloaded')
    expect(await codeOf(() => tier.pin([instant('b', 201)]))).toBe('invalid_request')
    expect(tier.uses('b')).toBe(0)
    pin.release()
    ;(await tier.pin([instant('b')])).release()
    tier.checkIntegrity()
  })

  it('bounds the number of those who wait', async () => {
    const { tier } = tierOf(100, 60_000)
    const pin = await tier.pin([instant('a')])
    const waiting = Array.from({ length: 8 }, (_, index) => tier.pin([instant(`w${index}`)]))
    expect(await codeOf(() => tier.pin([instant('late')]))).toBe('overloaded')
    pin.release()
    for (const next of waiting) (await next).release()
    tier.checkIntegrity()
  })

  it('gives a failed load to all who wait for it, and tries again afterwards', async () => {
    const { tier, host } = tierOf(200)
    const load = new ManualLoad()
    const pins = [tier.pin([load.request('a', 100), instant('b')]), tier.pin([load.request('a', 100)])]
    await settle()
    load.fail()
    for (const pin of pins) await expect(pin).rejects.toThrow('read failed')
    tier.checkIntegrity()
    expect(tier.stats()).toMatchObject({ pinned: 0, failedLoads: 1, bytes: 100 })
    expect([...host.held.keys()]).toEqual(['b'])
    ;(await tier.pin([instant('a')])).release()
    expect(host.held.has('a')).toBe(true)
  })

  it('refuses weights that are larger than was known and do not fit', async () => {
    const { tier, host } = tierOf(200)
    const load = new ManualLoad()
    const pin = tier.pin([load.request('a', 100, 201)])
    await settle()
    load.finish()
    expect(await codeOf(() => pin)).toBe('overloaded')
    expect([host.held.size, tier.stats().bytes]).toEqual([0, 0])
    tier.checkIntegrity()
  })

  it('forgets only what nobody uses and tells when the last user left', async () => {
    const { tier, host, idle } = tierOf(200)
    const pin = await tier.pin([instant('a')])
    tier.forget('a')
    expect(host.held.has('a')).toBe(true)
    pin.release()
    pin.release()
    expect(idle).toEqual(['a'])
    tier.forget('a')
    expect(host.held.has('a')).toBe(false)
    tier.checkIntegrity()
  })

  describe('the memory of what was read', () => {
    it('takes the next version of the same size, once the engine has its copy', async () => {
      const { tier } = tierOf(500)
      const loads = new ExclusiveLoads()
      for (const [digest, bytes] of [
        ['a', 20],
        ['b', 20],
        ['c', 24],
        ['d', 20],
      ] as const)
        (await tier.pin([loads.request(digest, bytes)])).release()
      const [a, b, c, d] = loads.given
      expect([a, c]).toEqual([null, null])
      expect(b).toBeInstanceOf(SharedArrayBuffer)
      // Only the memory of the latest is kept, and that had another size.
      expect(d).toBeNull()
      tier.checkIntegrity()
    })

    it('is left alone where others have the weights too', async () => {
      const { tier } = tierOf(500)
      const loads = new ExclusiveLoads()
      for (const digest of ['a', 'b']) (await tier.pin([loads.request(digest, 20, false)])).release()
      expect(loads.given).toEqual([null, null])
    })

    it('is given back when nothing was read for a while', async () => {
      vi.useFakeTimers()
      try {
        const { tier } = tierOf(500)
        const loads = new ExclusiveLoads()
        ;(await tier.pin([loads.request('a', 20)])).release()
        vi.advanceTimersByTime(10_000)
        ;(await tier.pin([loads.request('b', 20)])).release()
        expect(loads.given).toEqual([null, null])
      } finally {
        vi.useRealTimers()
      }
    })

    it('goes to one of those who come at once', async () => {
      const { tier } = tierOf(500)
      const loads = new ExclusiveLoads()
      ;(await tier.pin([loads.request('a', 25)])).release()
      await Promise.all(['c', 'd'].map(async (digest) => (await tier.pin([loads.request(digest, 25)])).release()))
      expect(loads.given.filter((memory) => memory !== null)).toHaveLength(1)
      tier.checkIntegrity()
    })
  })

  it('counts what the engine says a version takes, and refuses one that turns out too large', async () => {
    const { tier, host } = tierOf(300)
    host.bytesOf = ({ digest }) => (digest === 'huge' ? 400 : 60)
    for (const digest of ['a', 'b']) (await tier.pin([instant(digest)])).release()
    expect(tier.stats()).toMatchObject({ bytes: 120, versions: 2 })
    expect(tier.bytesOf('a')).toBe(60)
    await expect(tier.pin([instant('huge')])).rejects.toMatchObject({ code: 'overloaded' })
    expect(host.held.has('huge')).toBe(false)
    tier.checkIntegrity()
  })

  it('says why the engine does not take a version, and tries again the next time', async () => {
    const { tier, host } = tierOf(300)
    host.refusal = 'bad_alloc'
    await expect(tier.pin([instant('a')])).rejects.toMatchObject({
      code: 'engine_failed',
      message: 'the engine cannot take a: bad_alloc',
    })
    tier.checkIntegrity()
    host.refusal = null
    ;(await tier.pin([instant('a')])).release()
    expect(tier.stats()).toMatchObject({ failedLoads: 1, loads: 1 })
  })

  it('keeps its books through any sequence of pins, loads, failures and releases', async () => {
    const digests = ['a', 'b', 'c', 'd', 'e']
    const step = fc.oneof(
      {
        weight: 4,
        arbitrary: fc.record({
          kind: fc.constant('pin' as const),
          digests: fc.subarray(digests, { minLength: 1, maxLength: 3 }),
        }),
      },
      { weight: 4, arbitrary: fc.record({ kind: fc.constant('release' as const), index: fc.nat(20) }) },
      { weight: 4, arbitrary: fc.record({ kind: fc.constant('finish' as const), index: fc.nat(5) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('fail' as const), index: fc.nat(5) }) },
      {
        weight: 1,
        arbitrary: fc.record({ kind: fc.constant('forget' as const), digest: fc.constantFrom(...digests) }),
      },
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const { tier, host } = tierOf(250, 60_000)
        const load = new ManualLoad()
        const open: { pin: Pin; digests: readonly string[] }[] = []
        let unanswered = 0
        const sizes = { a: 50, b: 60, c: 70, d: 80, e: 110 } as const
        for (const action of steps) {
          if (action.kind === 'pin') {
            const requests = action.digests.map((digest) => load.request(digest, sizes[digest as keyof typeof sizes]))
            unanswered++
            void tier
              .pin(requests)
              .then(
                (pin) => open.push({ pin, digests: action.digests }),
                () => undefined,
              )
              .finally(() => unanswered--)
          } else if (action.kind === 'release') {
            const [lease] = open.splice(action.index % Math.max(1, open.length), 1)
            lease?.pin.release()
          } else if (action.kind === 'finish') load.finish(action.index % Math.max(1, load.pending))
          else if (action.kind === 'fail') load.fail(action.index % Math.max(1, load.pending))
          else tier.forget(action.digest)
          await settle()
          tier.checkIntegrity()
          for (const { digests: pinned } of open) for (const digest of pinned) expect(host.held.has(digest)).toBe(true)
        }
        // Everybody is served or refused in the end, and nothing stays pinned.
        while (unanswered > 0 || open.length > 0) {
          load.finish()
          open.shift()?.pin.release()
          await settle()
          tier.checkIntegrity()
        }
        expect(tier.stats()).toMatchObject({ pinned: 0, waiting: 0 })
        expect(host.held.size).toBe(tier.stats().versions)
      }),
      { numRuns: 150 },
    )
  })
})
