import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import type { Lease } from '../../src/catalogue/records.ts'
import type { Rooms } from '../../src/app/rooms.ts'
import { fakeDigest, readFakeAdapter } from '../support/fake-adapter.ts'
import { blobFolders, codeOf, messageOf, openRooms, upload, ME } from '../support/rooms.ts'

async function lease(rooms: Rooms, model: string): Promise<Lease> {
  return rooms.residency.acquire(rooms.catalogue.resolve({ model }, '*'))
}

describe('leases', () => {
  it('keep their digests whatever is activated meanwhile', async () => {
    const { rooms, host } = await openRooms({ memoryBytes: 200 })
    const [first, second] = [await upload(rooms, 'a', { effect: 1 }), await upload(rooms, 'a', { effect: 2 })]
    await rooms.changes.putTask('t', { routes: [{ adapter: 'a', version: 1 }] }, ME)
    const old = await rooms.residency.acquire(rooms.catalogue.resolve({ task: 't' }, 'x'))
    await rooms.changes.activate('t', { adapter: 'a', version: 2 }, ME)
    const fresh = await rooms.residency.acquire(rooms.catalogue.resolve({ task: 't' }, 'x'))
    expect(old.resolution.adapters[0]?.digest).toBe(first.digest)
    expect(fresh.resolution.adapters[0]?.digest).toBe(second.digest)
    expect([...host.held.keys()].sort()).toEqual([first.digest, second.digest].sort())
    expect(rooms.stats().leases).toBe(2)
    old.release()
    old.release()
    expect(rooms.stats().leases).toBe(1)
    fresh.release()
    rooms.checkIntegrity()
  })

  it('need nothing for the base model', async () => {
    const { rooms } = await openRooms()
    const empty = await lease(rooms, 'fake-base')
    expect([empty.tiers.size, empty.loadMs]).toEqual([0, 0])
    empty.release()
  })

  it('pin a mix as a whole', async () => {
    const { rooms, host } = await openRooms({ memoryBytes: 250 })
    for (const name of ['a', 'b', 'c']) await upload(rooms, name, { effect: 1, salt: name })
    const mix = { model: 'fake-base', adapters: [{ name: 'a', scale: 0.5 }, { name: 'b' }] }
    const both = await rooms.residency.acquire(rooms.catalogue.resolve(mix, 'x'))
    expect(both.tiers.size).toBe(2)
    await expect(Promise.race([lease(rooms, 'c'), Promise.resolve('waits')])).resolves.toBe('waits')
    for (const name of ['a', 'b']) expect(host.held.has(fakeDigest({ effect: 1, salt: name }))).toBe(true)
    both.release()
  })

  it('are waited for only so long', async () => {
    const { rooms } = await openRooms({ memoryBytes: 150, memoryWaitMs: 10 })
    await upload(rooms, 'a', { effect: 1 })
    await upload(rooms, 'b', { effect: 2 })
    const held = await lease(rooms, 'a')
    expect(await codeOf(() => lease(rooms, 'b'))).toBe('overloaded')
    held.release()
    ;(await lease(rooms, 'b')).release()
    rooms.checkIntegrity()
  })
})

describe('deletion', () => {
  it('is refused while a task routes there, naming the tasks', async () => {
    const { rooms } = await openRooms()
    await upload(rooms, 'a', { effect: 1 })
    await upload(rooms, 'a', { effect: 2 })
    await rooms.changes.putTask('t1', { routes: [{ adapter: 'a', version: 1 }] }, ME)
    await rooms.changes.putTask(
      't2',
      {
        routes: [
          { adapter: 'a', version: 1 },
          { adapter: 'a', version: 2, weight: 0 },
        ],
      },
      ME,
    )
    expect(await codeOf(() => rooms.residency.deleteVersion('a', 1, ME))).toBe('adapter_in_use')
    expect(await messageOf(() => rooms.residency.deleteAdapter('a', ME))).toMatch(/"t1", "t2"/)
    await rooms.changes.deleteTask('t1', ME)
    await rooms.changes.putTask('t2', { routes: [] }, ME)
    expect(await rooms.residency.deleteVersion('a', 1, ME)).toEqual({ status: 'deleted' })
    expect(await rooms.residency.deleteAdapter('a', ME)).toEqual({ status: 'deleted' })
  })

  it('removes files and memory at once when nobody uses them', async () => {
    const { rooms, host, storeDir } = await openRooms()
    await upload(rooms, 'acme/a', { effect: 1 })
    expect(await rooms.residency.deleteAdapter('acme/a', ME)).toEqual({ status: 'deleted' })
    await rooms.close()
    expect([...host.held.keys()]).toEqual([])
    expect(await blobFolders(storeDir)).toEqual([])
    expect(rooms.stats()).toMatchObject({ adapters: 0, deletions: 1 })
  })

  it('drains: new requests do not find it, running ones keep it, the last one removes it', async () => {
    const { rooms, host, storeDir } = await openRooms()
    const record = await upload(rooms, 'a', { effect: 1 })
    const resolution = rooms.catalogue.resolve({ model: 'a' }, 'x')
    const [first, second] = [await rooms.residency.acquire(resolution), await rooms.residency.acquire(resolution)]
    expect(await rooms.residency.deleteVersion('a', 1, ME)).toMatchObject({ status: 'draining' })
    expect(await codeOf(() => rooms.catalogue.resolve({ model: 'a@v1' }, 'x'))).toBe('model_not_found')
    expect(rooms.catalogue.getAdapter('a', 'x').versions).toMatchObject([{ version: 1, state: 'draining' }])
    expect(await blobFolders(storeDir)).toHaveLength(1)
    rooms.checkIntegrity()
    first.release()
    expect(host.held.has(record.digest)).toBe(true)
    second.release()
    expect(host.held.has(record.digest)).toBe(false)
    expect(await codeOf(() => rooms.catalogue.getAdapter('a', 'x'))).toBe('adapter_not_found')
    await rooms.close()
    expect(await blobFolders(storeDir)).toEqual([])
    rooms.checkIntegrity()
  })

  it('that drains is over for whoever opens the store then, and for other processes', async () => {
    const { rooms, storeDir } = await openRooms()
    const other = await openRooms({ storeDir })
    for (const effect of [1, 2]) await upload(rooms, 'a', { effect })
    await other.rooms.follow()
    const held = await lease(rooms, 'a@v1')
    expect(await rooms.residency.deleteVersion('a', 1, ME)).toMatchObject({ status: 'draining' })
    await other.rooms.follow()
    const after = await openRooms({ storeDir })
    for (const one of [other.rooms, after.rooms]) {
      expect(one.catalogue.getAdapter('a', 'x').versions.map(({ version }) => version)).toEqual([2])
      expect(await codeOf(() => one.catalogue.resolve({ model: 'a@v1' }, 'x'))).toBe('version_not_found')
    }
    held.release()
  })

  it('does not break a request that is being loaded', async () => {
    const first = await openRooms()
    await upload(first.rooms, 'a', { effect: 1 })
    await first.rooms.close()
    let open = (): void => undefined
    const gate = new Promise<void>((resolve) => (open = resolve))
    const { rooms } = await openRooms({
      storeDir: first.storeDir,
      reader: async (dir) => {
        await gate
        return readFakeAdapter(dir)
      },
    })
    const pending = lease(rooms, 'a')
    expect(await rooms.residency.deleteAdapter('a', ME)).toMatchObject({ status: 'draining' })
    // Time enough for the files to be removed, if anything removed them.
    await new Promise((resolve) => setTimeout(resolve, 50))
    open()
    const held = await pending
    rooms.checkIntegrity()
    held.release()
    expect(rooms.stats()).toMatchObject({ draining: 0, memory: { versions: 0 } })
  })

  it('refuses who resolved before and asks after', async () => {
    const { rooms } = await openRooms()
    await upload(rooms, 'a', { effect: 1 })
    const resolution = rooms.catalogue.resolve({ model: 'a' }, 'x')
    await rooms.residency.deleteVersion('a', 1, ME)
    expect(await codeOf(() => rooms.residency.acquire(resolution))).toBe('version_not_found')
  })

  it('of one adapter leaves the same bytes of another alone', async () => {
    const { rooms, host } = await openRooms()
    const { digest } = await upload(rooms, 'a', { effect: 1 })
    await upload(rooms, 'b', { effect: 1 })
    const held = await lease(rooms, 'a')
    await rooms.residency.deleteAdapter('a', ME)
    held.release()
    expect(host.held.has(digest)).toBe(true)
    ;(await lease(rooms, 'b')).release()
    rooms.checkIntegrity()
  })

  it('is not undone by the same bytes coming again while it drains', async () => {
    const { rooms, host } = await openRooms()
    const { digest } = await upload(rooms, 'a', { effect: 1 })
    const held = await lease(rooms, 'a')
    await rooms.residency.deleteVersion('a', 1, ME)
    expect((await upload(rooms, 'a', { effect: 1 })).version).toBe(2)
    held.release()
    expect(rooms.catalogue.getAdapter('a', 'x').versions.map(({ version, state }) => [version, state])).toEqual([
      [2, 'ready'],
    ])
    expect(host.held.has(digest)).toBe(true)
    ;(await lease(rooms, 'a@v2')).release()
    rooms.checkIntegrity()
  })

  it('ends who still runs at the deadline, and nobody else', async () => {
    const { rooms } = await openRooms()
    await upload(rooms, 'a', { effect: 1 })
    await upload(rooms, 'b', { effect: 1 })
    await upload(rooms, 'c', { effect: 2 })
    const held = await lease(rooms, 'a')
    const others = [await lease(rooms, 'b'), await lease(rooms, 'c')]
    const before = Date.now()
    const deletion = await rooms.residency.deleteVersion('a', 1, ME, 0.03)
    expect(deletion).toMatchObject({ status: 'draining', holders: 1 })
    expect(held.signal.aborted).toBe(false)
    if (deletion.status === 'draining') expect(Date.parse(deletion.deadline)).toBeGreaterThanOrEqual(before + 30)
    await vi.waitFor(() => expect(held.signal.aborted).toBe(true))
    expect(held.signal.reason).toMatchObject({ code: 'version_deleted' })
    expect(others.map(({ signal }) => signal.aborted)).toEqual([false, false])
    expect(rooms.stats().cutOff).toBe(1)
    for (const one of [held, ...others]) one.release()
    rooms.checkIntegrity()
  })

  it('without time to drain is refused with the number of holders', async () => {
    const { rooms } = await openRooms()
    await upload(rooms, 'a', { effect: 1 })
    const held = [await lease(rooms, 'a'), await lease(rooms, 'a')]
    expect(await messageOf(() => rooms.residency.deleteVersion('a', 1, ME, 0))).toMatch(/2 requests use it/)
    expect(await codeOf(() => rooms.residency.deleteAdapter('a', ME, 0))).toBe('adapter_in_use')
    for (const one of held) one.release()
    for (const seconds of [-1, NaN, 1e9])
      expect(await codeOf(() => rooms.residency.deleteVersion('a', 1, ME, seconds))).toBe('invalid_request')
    expect(await rooms.residency.deleteVersion('a', 1, ME, 0)).toEqual({ status: 'deleted' })
  })

  it('counts requests that wait for their turn among the holders, and ends them at the deadline', async () => {
    const { rooms } = await openRooms()
    await upload(rooms, 'a', { effect: 1 })
    const resolve = () => rooms.catalogue.resolve({ model: 'a' }, 'x')
    const [waiting, served] = [rooms.residency.claim(resolve()), rooms.residency.claim(resolve())]
    const lease = await served.acquire()
    expect(await messageOf(() => rooms.residency.deleteVersion('a', 1, ME, 0))).toMatch(/2 requests use it/)
    expect(await rooms.residency.deleteVersion('a', 1, ME, 0.03)).toMatchObject({ status: 'draining', holders: 2 })
    await vi.waitFor(() => expect([waiting.signal.aborted, lease.signal.aborted]).toEqual([true, true]))
    expect(await codeOf(() => waiting.acquire())).toBe('version_deleted')
    expect(rooms.stats()).toMatchObject({ cutOff: 2, draining: 1 })
    for (const claim of [waiting, served, served]) claim.release()
    expect(rooms.stats()).toMatchObject({ leases: 0, draining: 0, memory: { versions: 0 } })
    rooms.checkIntegrity()
  })

  it('is not undone by a load that ends after it, whoever still waits for that', async () => {
    const first = await openRooms()
    const { digest } = await upload(first.rooms, 'a', { effect: 1 })
    await first.rooms.close()
    let open = (): void => undefined
    const gate = new Promise<void>((resolve) => (open = resolve))
    const { rooms, host } = await openRooms({
      storeDir: first.storeDir,
      reader: async (dir) => {
        const read = await readFakeAdapter(dir)
        await gate
        return read
      },
    })
    const pending = codeOf(() => lease(rooms, 'a'))
    await rooms.residency.deleteVersion('a', 1, ME, 0.01)
    await new Promise((resolve) => setTimeout(resolve, 30))
    open()
    expect(await pending).toBe('version_deleted')
    expect(await codeOf(() => lease(rooms, 'a@v1'))).toBe('model_not_found')
    await rooms.follow()
    expect(rooms.catalogue.listAdapters('*')).toEqual([])
    expect(host.held.has(digest)).toBe(false)
    expect(rooms.stats()).toMatchObject({ leases: 0, draining: 0, memory: { versions: 0, pinned: 0 } })
    rooms.checkIntegrity()
  })

  it('names what is not there', async () => {
    const { rooms } = await openRooms()
    await upload(rooms, 'acme/a', { effect: 1 })
    expect(await codeOf(() => rooms.residency.deleteVersion('acme/a', 2, ME))).toBe('version_not_found')
    expect(await codeOf(() => rooms.residency.deleteVersion('b', 1, ME))).toBe('adapter_not_found')
    expect(await codeOf(() => rooms.residency.deleteAdapter('b', ME))).toBe('adapter_not_found')
    expect(await codeOf(() => rooms.residency.deleteAdapter('acme', ME))).toBe('adapter_not_found')
    expect(await codeOf(() => rooms.residency.deleteAdapter('..', ME))).toBe('invalid_request')
    expect(rooms.catalogue.listAdapters('*')).toHaveLength(1)
  })
})

describe('many clients at once', () => {
  it('never break the books or a request that runs', async () => {
    const step = fc.oneof(
      {
        weight: 3,
        arbitrary: fc.record({ kind: fc.constant('lease' as const), model: fc.constantFrom('a', 'b', 't') }),
      },
      { weight: 3, arbitrary: fc.record({ kind: fc.constant('release' as const), index: fc.nat(10) }) },
      {
        weight: 2,
        arbitrary: fc.record({
          kind: fc.constant('upload' as const),
          name: fc.constantFrom('a', 'b'),
          effect: fc.integer({ min: 1, max: 4 }),
        }),
      },
      {
        weight: 2,
        arbitrary: fc.record({
          kind: fc.constant('delete' as const),
          name: fc.constantFrom('a', 'b'),
          version: fc.integer({ min: 1, max: 4 }),
        }),
      },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant('activate' as const), name: fc.constantFrom('a', 'b') }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('rollback' as const) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('scan' as const) }) },
    )
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 25 }),
        fc.array(fc.nat(3), { minLength: 25, maxLength: 25 }),
        async (steps, waits) => {
          const { rooms, host } = await openRooms({ memoryBytes: 250, memoryWaitMs: 60_000 })
          await rooms.changes.putTask('t', {}, ME)
          const open: Lease[] = []
          const running: Promise<unknown>[] = []
          const expected = [
            'model_not_found',
            'adapter_not_found',
            'version_not_found',
            'adapter_in_use',
            'rollback_empty',
            'none',
          ]
          const run = (job: () => Promise<unknown>): void => {
            running.push(codeOf(job).then((code) => expect(expected).toContain(code)))
          }
          const check = (): void => {
            rooms.checkIntegrity()
            for (const { resolution } of open)
              for (const { digest } of resolution.adapters) expect(host.held.has(digest)).toBe(true)
          }
          for (const [index, action] of steps.entries()) {
            if (action.kind === 'lease') run(async () => open.push(await lease(rooms, action.model)))
            else if (action.kind === 'release') open.splice(action.index % Math.max(1, open.length), 1)[0]?.release()
            else if (action.kind === 'upload') run(() => upload(rooms, action.name, { effect: action.effect }))
            else if (action.kind === 'delete') run(() => rooms.residency.deleteVersion(action.name, action.version, ME))
            else if (action.kind === 'activate') run(() => rooms.changes.activate('t', { adapter: action.name }, ME))
            else if (action.kind === 'rollback') run(() => rooms.changes.rollback('t', ME))
            else run(() => rooms.follow())
            for (let turn = 0; turn < (waits[index] ?? 0); turn++) await new Promise((resolve) => setImmediate(resolve))
            check()
          }
          // Running requests end one after another; then everything else must come to its end too.
          let ended = false
          const all = Promise.all(running).finally(() => (ended = true))
          while (!ended || open.length > 0) {
            open.shift()?.release()
            await new Promise((resolve) => setImmediate(resolve))
            check()
          }
          await all
          await rooms.close()
          expect(rooms.stats()).toMatchObject({ leases: 0, draining: 0, memory: { pinned: 0, waiting: 0 } })
          expect(host.held.size).toBe(rooms.stats().memory.versions)
        },
      ),
      { numRuns: 30 },
    )
  })
})
