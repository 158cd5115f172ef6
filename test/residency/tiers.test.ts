import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { TroupeError } from '../../src/core/errors.ts'
import { LoadFailures, MAX_TRIES } from '../../src/residency/load-failures.ts'
import { LoadRate } from '../../src/residency/load-rate.ts'
import { fakeDigest, readFakeAdapter } from '../support/fake-adapter.ts'
import { codeOf, filesOf, openRooms, upload, ME } from '../support/rooms.ts'
import type { OpenRooms } from '../support/rooms.ts'

/** A store with adapters a, b, c … of 100 bytes, opened again so that nothing is in memory. */
async function cold(names: readonly string[], memoryBytes = 1_000): Promise<OpenRooms & { reads: string[] }> {
  const first = await openRooms()
  for (const name of names) await upload(first.rooms, name, { effect: 1, salt: name })
  await first.rooms.close()
  const reads: string[] = []
  const opened = await openRooms({
    storeDir: first.storeDir,
    memoryBytes,
    reader: (dir) => {
      reads.push(dir)
      return readFakeAdapter(dir)
    },
  })
  return { ...opened, reads }
}

const digestOf = (name: string): string => fakeDigest({ effect: 1, salt: name })

describe('pins', () => {
  it('keep what a task routes to in memory, over restarts, until it is unpinned', async () => {
    const { rooms, host, storeDir } = await cold(['a', 'b', 'c', 'd'], 250)
    await rooms.changes.putTask('t', { routes: [{ adapter: 'a' }], pinned: true }, ME)
    await vi.waitFor(() => expect(rooms.stats().kept).toBe(1))
    for (const model of ['b', 'c', 'd', 'b'])
      (await rooms.residency.acquire(rooms.catalogue.resolve({ model }, 'x'))).release()
    expect(host.held.has(digestOf('a'))).toBe(true)
    await rooms.close()
    const again = await openRooms({ storeDir, memoryBytes: 250 })
    await vi.waitFor(() => expect(again.host.held.has(digestOf('a'))).toBe(true))
    await again.rooms.changes.putTask('t', { pinned: false }, ME)
    expect(again.rooms.stats().kept).toBe(0)
    again.rooms.checkIntegrity()
  })

  it('of an adapter follow its newest version, and do not stand in the way of deletion', async () => {
    const { rooms, host } = await openRooms()
    await upload(rooms, 'a', { effect: 1 })
    expect(await rooms.changes.describeAdapter('a', { pinned: true }, ME)).toMatchObject({ pinned: true })
    await vi.waitFor(() => expect(rooms.stats().kept).toBe(1))
    const second = await upload(rooms, 'a', { effect: 2 })
    await vi.waitFor(() => expect(rooms.stats()).toMatchObject({ kept: 1, unmetPins: 0 }))
    expect(await rooms.residency.deleteVersion('a', 2, ME, 0)).toEqual({ status: 'deleted' })
    expect(host.held.has(second.digest)).toBe(false)
    expect(await rooms.residency.deleteAdapter('a', ME, 0)).toEqual({ status: 'deleted' })
    await rooms.follow()
    expect(rooms.stats()).toMatchObject({ kept: 0, unmetPins: 0, memory: { pinned: 0 } })
    rooms.checkIntegrity()
  })

  it('take at most half of the memory; what does not fit shows', async () => {
    const { rooms, log } = await cold(['a', 'b', 'c'], 250)
    for (const name of ['a', 'b']) await rooms.changes.describeAdapter(name, { pinned: true }, ME)
    await vi.waitFor(() => expect(rooms.stats()).toMatchObject({ kept: 1, unmetPins: 1 }))
    await rooms.follow()
    expect(log.lines.filter((line) => line.includes('does not fit'))).toHaveLength(1)
    ;(await rooms.residency.acquire(rooms.catalogue.resolve({ model: 'c' }, 'x'))).release()
  })
})

describe('prefetch', () => {
  it('brings in what was activated, and what a waiting request will need, once', async () => {
    const { rooms, host, reads } = await cold(['a', 'b'])
    await rooms.changes.putTask('t', {}, ME)
    await rooms.changes.activate('t', { adapter: 'a' }, ME)
    await vi.waitFor(() => expect(host.held.has(digestOf('a'))).toBe(true))
    const resolution = rooms.catalogue.resolve({ model: 'b' }, 'x')
    for (let n = 0; n < 5; n++) rooms.residency.prefetch(resolution)
    const lease = await rooms.residency.acquire(resolution)
    expect(reads).toHaveLength(2)
    expect(rooms.stats().prefetches).toBe(2)
    lease.release()
    rooms.checkIntegrity()
  })

  it('waits for nobody’s memory and fails nobody', async () => {
    const { rooms, host } = await cold(['a', 'b'], 150)
    const held = await rooms.residency.acquire(rooms.catalogue.resolve({ model: 'a' }, 'x'))
    rooms.residency.prefetch(rooms.catalogue.resolve({ model: 'b' }, 'x'))
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(rooms.stats().memory.waiting).toBe(0)
    expect(host.held.has(digestOf('b'))).toBe(false)
    held.release()
  })
})

describe('loads that fail', () => {
  it('are tried with growing pauses, then given up until somebody asks', () => {
    let now = 0
    const failures = new LoadFailures(() => now)
    const error = new TroupeError('digest_mismatch', 'altered')
    const pauses: number[] = []
    for (let n = 1; n <= MAX_TRIES; n++) {
      failures.note('d', error)
      const from = now
      if (n === MAX_TRIES) break
      expect(() => failures.check('d')).toThrow('altered')
      for (let blocked = true; blocked; now += blocked ? 100 : 0) {
        try {
          failures.check('d')
          blocked = false
        } catch {
          blocked = true
        }
      }
      pauses.push(now - from)
    }
    expect(pauses).toEqual([500, 1_000, 2_000, 4_000])
    now += 1e9
    expect(() => failures.check('d')).toThrow('failed 5 times')
    expect([failures.finalCount, failures.finalReason('d')]).toMatchObject([1, expect.stringContaining('altered')])
    failures.forget('d')
    failures.check('d')
  })

  it('of the medium are never final, and what is no failure of a load is not remembered', () => {
    let now = 0
    const failures = new LoadFailures(() => now)
    for (let n = 0; n < 20; n++) failures.note('d', new TroupeError('storage_error', 'gone'))
    expect(() => failures.check('d')).toThrow('gone')
    now = 2_000
    failures.check('d')
    for (const code of ['version_not_found', 'not_ready', 'overloaded'] as const)
      failures.note('e', new TroupeError(code, 'x'))
    failures.check('e')
    expect(failures.finalCount).toBe(0)
  })

  it('show as failed, and a repaired file works after a retry', async () => {
    const { rooms, storeDir } = await cold(['a'])
    const file = join(filesOf(rooms, storeDir, 'a'), 'adapter_model.safetensors')
    const good = await readFile(file)
    await writeFile(file, 'garbage')
    for (let n = 0; n < MAX_TRIES; n++) {
      vi.spyOn(performance, 'now').mockReturnValue(1e9 * (n + 1))
      expect(await codeOf(() => rooms.residency.acquire(rooms.catalogue.resolve({ model: 'a' }, 'x')))).toBe(
        'digest_mismatch',
      )
    }
    vi.restoreAllMocks()
    expect(rooms.catalogue.getAdapter('a', 'x').versions).toMatchObject([
      { version: 1, state: 'failed', reason: expect.stringContaining('failed 5 times') as string },
    ])
    expect(rooms.stats().failed).toBe(1)
    await writeFile(file, good)
    expect(await codeOf(() => rooms.residency.acquire(rooms.catalogue.resolve({ model: 'a' }, 'x')))).toBe(
      'digest_mismatch',
    )
    expect(await rooms.residency.retryVersion('a', 1)).toMatchObject({ state: 'ready' })
    ;(await rooms.residency.acquire(rooms.catalogue.resolve({ model: 'a' }, 'x'))).release()
    expect(await codeOf(() => rooms.residency.retryVersion('a', 2))).toBe('version_not_found')
    rooms.checkIntegrity()
  })
})

describe('the load rate', () => {
  it('learns fixed costs and bandwidth', () => {
    const rate = new LoadRate()
    for (let n = 0; n < 500; n++) {
      rate.learn(1_000, 2 + 1_000 / 50_000)
      rate.learn(5_000_000, 2 + 5_000_000 / 50_000)
    }
    expect(rate.estimate(1_000)).toBeCloseTo(2, 0)
    expect(rate.estimate(10_000_000)).toBeGreaterThan(150)
    expect(rate.estimate(10_000_000)).toBeLessThan(250)
  })
})
