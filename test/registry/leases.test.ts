import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import type { Lease } from '../../src/registry/records.ts'
import type { Registry } from '../../src/registry/registry.ts'
import { fakeDigest, readFakeAdapter } from '../support/fake-adapter.ts'
import { codeOf, messageOf, openRegistry, upload } from '../support/registry-fixture.ts'

async function lease(registry: Registry, model: string): Promise<Lease> {
  return registry.acquire(registry.resolve({ model }, '*'))
}

describe('leases', () => {
  it('keep their digests whatever is activated meanwhile', async () => {
    const { registry, host } = await openRegistry({ memoryBytes: 200 })
    const [first, second] = [await upload(registry, 'a', { effect: 1 }), await upload(registry, 'a', { effect: 2 })]
    await registry.putTask('t', { routes: [{ adapter: 'a', version: 1 }] }, 'me')
    const old = await registry.acquire(registry.resolve({ task: 't' }, 'x'))
    await registry.activate('t', { adapter: 'a', version: 2 }, 'me')
    const fresh = await registry.acquire(registry.resolve({ task: 't' }, 'x'))
    expect(old.resolution.adapters[0]?.digest).toBe(first.digest)
    expect(fresh.resolution.adapters[0]?.digest).toBe(second.digest)
    expect([...host.held.keys()].sort()).toEqual([first.digest, second.digest].sort())
    expect(registry.stats().leases).toBe(2)
    old.release()
    old.release()
    expect(registry.stats().leases).toBe(1)
    fresh.release()
    registry.checkIntegrity()
  })

  it('need nothing for the base model', async () => {
    const { registry } = await openRegistry()
    const empty = await lease(registry, 'fake-base')
    expect([empty.tiers.size, empty.loadMs]).toEqual([0, 0])
    empty.release()
  })

  it('pin a mix as a whole', async () => {
    const { registry, host } = await openRegistry({ memoryBytes: 250 })
    for (const name of ['a', 'b', 'c']) await upload(registry, name, { effect: 1, salt: name })
    const mix = { model: 'fake-base', adapters: [{ name: 'a', scale: 0.5 }, { name: 'b' }] }
    const both = await registry.acquire(registry.resolve(mix, 'x'))
    expect(both.tiers.size).toBe(2)
    await expect(Promise.race([lease(registry, 'c'), Promise.resolve('waits')])).resolves.toBe('waits')
    for (const name of ['a', 'b']) expect(host.held.has(fakeDigest({ effect: 1, salt: name }))).toBe(true)
    both.release()
  })

  it('are waited for only so long', async () => {
    const { registry } = await openRegistry({ memoryBytes: 150, memoryWaitMs: 10 })
    await upload(registry, 'a', { effect: 1 })
    await upload(registry, 'b', { effect: 2 })
    const held = await lease(registry, 'a')
    expect(await codeOf(() => lease(registry, 'b'))).toBe('overloaded')
    held.release()
    ;(await lease(registry, 'b')).release()
    registry.checkIntegrity()
  })
})

describe('deletion', () => {
  it('is refused while a task routes there, naming the tasks', async () => {
    const { registry } = await openRegistry()
    await upload(registry, 'a', { effect: 1 })
    await upload(registry, 'a', { effect: 2 })
    await registry.putTask('t1', { routes: [{ adapter: 'a', version: 1 }] }, 'me')
    await registry.putTask(
      't2',
      {
        routes: [
          { adapter: 'a', version: 1 },
          { adapter: 'a', version: 2, weight: 0 },
        ],
      },
      'me',
    )
    expect(await codeOf(() => registry.deleteVersion('a', 1))).toBe('adapter_in_use')
    expect(await messageOf(() => registry.deleteAdapter('a'))).toMatch(/"t1", "t2"/)
    await registry.deleteTask('t1')
    await registry.putTask('t2', { routes: [] }, 'me')
    expect(await registry.deleteVersion('a', 1)).toEqual({ status: 'deleted' })
    expect(await registry.deleteAdapter('a')).toEqual({ status: 'deleted' })
  })

  it('removes files and memory at once when nobody uses them', async () => {
    const { registry, host, storeDir } = await openRegistry()
    await upload(registry, 'acme/a', { effect: 1 })
    expect(await registry.deleteAdapter('acme/a')).toEqual({ status: 'deleted' })
    await registry.close()
    expect([...host.held.keys()]).toEqual([])
    for (const folder of ['adapters', '.trash']) expect(await readdir(join(storeDir, folder))).toEqual([])
    expect(registry.stats()).toMatchObject({ adapters: 0, deletions: 1 })
  })

  it('drains: new requests do not find it, running ones keep it, the last one removes it', async () => {
    const { registry, host, storeDir } = await openRegistry()
    const record = await upload(registry, 'a', { effect: 1 })
    const resolution = registry.resolve({ model: 'a' }, 'x')
    const [first, second] = [await registry.acquire(resolution), await registry.acquire(resolution)]
    expect(await registry.deleteVersion('a', 1)).toMatchObject({ status: 'draining' })
    expect(await codeOf(() => registry.resolve({ model: 'a@v1' }, 'x'))).toBe('model_not_found')
    expect(registry.getAdapter('a', 'x').versions).toMatchObject([{ version: 1, state: 'draining' }])
    expect(existsSync(join(storeDir, 'adapters', 'a'))).toBe(false)
    registry.checkIntegrity()
    first.release()
    expect(host.held.has(record.digest)).toBe(true)
    second.release()
    expect(host.held.has(record.digest)).toBe(false)
    expect(await codeOf(() => registry.getAdapter('a', 'x'))).toBe('adapter_not_found')
    await registry.close()
    expect(await readdir(join(storeDir, '.trash'))).toEqual([])
    registry.checkIntegrity()
  })

  it('that drains is over for whoever opens the store then, and for other processes', async () => {
    const { registry, storeDir } = await openRegistry()
    const other = await openRegistry({ storeDir })
    for (const effect of [1, 2]) await upload(registry, 'a', { effect })
    await other.registry.scan()
    const held = await lease(registry, 'a@v1')
    expect(await registry.deleteVersion('a', 1)).toMatchObject({ status: 'draining' })
    await other.registry.scan()
    const after = await openRegistry({ storeDir })
    for (const one of [other.registry, after.registry]) {
      expect(one.getAdapter('a', 'x').versions.map(({ version }) => version)).toEqual([2])
      expect(await codeOf(() => one.resolve({ model: 'a@v1' }, 'x'))).toBe('version_not_found')
    }
    held.release()
  })

  it('does not break a request that is being loaded', async () => {
    const first = await openRegistry()
    await upload(first.registry, 'a', { effect: 1 })
    await first.registry.close()
    let open = (): void => undefined
    const gate = new Promise<void>((resolve) => (open = resolve))
    const { registry } = await openRegistry({
      storeDir: first.storeDir,
      reader: async (dir) => {
        await gate
        return readFakeAdapter(dir)
      },
    })
    const pending = lease(registry, 'a')
    expect(await registry.deleteAdapter('a')).toMatchObject({ status: 'draining' })
    // Time enough for the files to be removed, if anything removed them.
    await new Promise((resolve) => setTimeout(resolve, 50))
    open()
    const held = await pending
    registry.checkIntegrity()
    held.release()
    expect(registry.stats()).toMatchObject({ draining: 0, memory: { versions: 0 } })
  })

  it('refuses who resolved before and asks after', async () => {
    const { registry } = await openRegistry()
    await upload(registry, 'a', { effect: 1 })
    const resolution = registry.resolve({ model: 'a' }, 'x')
    await registry.deleteVersion('a', 1)
    expect(await codeOf(() => registry.acquire(resolution))).toBe('version_not_found')
  })

  it('of one adapter leaves the same bytes of another alone', async () => {
    const { registry, host } = await openRegistry()
    const { digest } = await upload(registry, 'a', { effect: 1 })
    await upload(registry, 'b', { effect: 1 })
    const held = await lease(registry, 'a')
    await registry.deleteAdapter('a')
    held.release()
    expect(host.held.has(digest)).toBe(true)
    ;(await lease(registry, 'b')).release()
    registry.checkIntegrity()
  })

  it('is not undone by the same bytes coming again while it drains', async () => {
    const { registry, host } = await openRegistry()
    const { digest } = await upload(registry, 'a', { effect: 1 })
    const held = await lease(registry, 'a')
    await registry.deleteVersion('a', 1)
    expect((await upload(registry, 'a', { effect: 1 })).version).toBe(2)
    held.release()
    expect(registry.getAdapter('a', 'x').versions.map(({ version, state }) => [version, state])).toEqual([[2, 'ready']])
    expect(host.held.has(digest)).toBe(true)
    ;(await lease(registry, 'a@v2')).release()
    registry.checkIntegrity()
  })

  it('ends who still runs at the deadline, and nobody else', async () => {
    const { registry } = await openRegistry()
    await upload(registry, 'a', { effect: 1 })
    await upload(registry, 'b', { effect: 1 })
    await upload(registry, 'c', { effect: 2 })
    const held = await lease(registry, 'a')
    const others = [await lease(registry, 'b'), await lease(registry, 'c')]
    const before = Date.now()
    const deletion = await registry.deleteVersion('a', 1, 0.03)
    expect(deletion).toMatchObject({ status: 'draining', holders: 1 })
    expect(held.signal.aborted).toBe(false)
    if (deletion.status === 'draining') expect(Date.parse(deletion.deadline)).toBeGreaterThanOrEqual(before + 30)
    await vi.waitFor(() => expect(held.signal.aborted).toBe(true))
    expect(held.signal.reason).toMatchObject({ code: 'version_deleted' })
    expect(others.map(({ signal }) => signal.aborted)).toEqual([false, false])
    expect(registry.stats().cutOff).toBe(1)
    for (const one of [held, ...others]) one.release()
    registry.checkIntegrity()
  })

  it('without time to drain is refused with the number of holders', async () => {
    const { registry } = await openRegistry()
    await upload(registry, 'a', { effect: 1 })
    const held = [await lease(registry, 'a'), await lease(registry, 'a')]
    expect(await messageOf(() => registry.deleteVersion('a', 1, 0))).toMatch(/2 requests use it/)
    expect(await codeOf(() => registry.deleteAdapter('a', 0))).toBe('adapter_in_use')
    for (const one of held) one.release()
    for (const seconds of [-1, NaN, 1e9])
      expect(await codeOf(() => registry.deleteVersion('a', 1, seconds))).toBe('invalid_request')
    expect(await registry.deleteVersion('a', 1, 0)).toEqual({ status: 'deleted' })
  })

  it('counts requests that wait for their turn among the holders, and ends them at the deadline', async () => {
    const { registry } = await openRegistry()
    await upload(registry, 'a', { effect: 1 })
    const resolve = () => registry.resolve({ model: 'a' }, 'x')
    const [waiting, served] = [registry.claim(resolve()), registry.claim(resolve())]
    const lease = await served.acquire()
    expect(await messageOf(() => registry.deleteVersion('a', 1, 0))).toMatch(/2 requests use it/)
    expect(await registry.deleteVersion('a', 1, 0.03)).toMatchObject({ status: 'draining', holders: 2 })
    await vi.waitFor(() => expect([waiting.signal.aborted, lease.signal.aborted]).toEqual([true, true]))
    expect(await codeOf(() => waiting.acquire())).toBe('version_deleted')
    expect(registry.stats()).toMatchObject({ cutOff: 2, draining: 1 })
    for (const claim of [waiting, served, served]) claim.release()
    expect(registry.stats()).toMatchObject({ leases: 0, draining: 0, memory: { versions: 0 } })
    registry.checkIntegrity()
  })

  it('is not undone by a load that ends after it, whoever still waits for that', async () => {
    const first = await openRegistry()
    const { digest } = await upload(first.registry, 'a', { effect: 1 })
    await first.registry.close()
    let open = (): void => undefined
    const gate = new Promise<void>((resolve) => (open = resolve))
    const { registry, host } = await openRegistry({
      storeDir: first.storeDir,
      reader: async (dir) => {
        const read = await readFakeAdapter(dir)
        await gate
        return read
      },
    })
    const pending = codeOf(() => lease(registry, 'a'))
    await registry.deleteVersion('a', 1, 0.01)
    await new Promise((resolve) => setTimeout(resolve, 30))
    open()
    expect(await pending).toBe('version_deleted')
    expect(await codeOf(() => lease(registry, 'a@v1'))).toBe('model_not_found')
    await registry.scan()
    expect(registry.listAdapters('*')).toEqual([])
    expect(host.held.has(digest)).toBe(false)
    expect(registry.stats()).toMatchObject({ leases: 0, draining: 0, memory: { versions: 0, pinned: 0 } })
    registry.checkIntegrity()
  })

  it('names what is not there', async () => {
    const { registry } = await openRegistry()
    await upload(registry, 'acme/a', { effect: 1 })
    expect(await codeOf(() => registry.deleteVersion('acme/a', 2))).toBe('version_not_found')
    expect(await codeOf(() => registry.deleteVersion('b', 1))).toBe('adapter_not_found')
    expect(await codeOf(() => registry.deleteAdapter('b'))).toBe('adapter_not_found')
    expect(await codeOf(() => registry.deleteAdapter('acme'))).toBe('adapter_not_found')
    expect(await codeOf(() => registry.deleteAdapter('..'))).toBe('invalid_request')
    expect(registry.listAdapters('*')).toHaveLength(1)
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
          const { registry, host } = await openRegistry({ memoryBytes: 250, memoryWaitMs: 60_000 })
          await registry.putTask('t', {}, 'me')
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
            registry.checkIntegrity()
            for (const { resolution } of open)
              for (const { digest } of resolution.adapters) expect(host.held.has(digest)).toBe(true)
          }
          for (const [index, action] of steps.entries()) {
            if (action.kind === 'lease') run(async () => open.push(await lease(registry, action.model)))
            else if (action.kind === 'release') open.splice(action.index % Math.max(1, open.length), 1)[0]?.release()
            else if (action.kind === 'upload') run(() => upload(registry, action.name, { effect: action.effect }))
            else if (action.kind === 'delete') run(() => registry.deleteVersion(action.name, action.version))
            else if (action.kind === 'activate') run(() => registry.activate('t', { adapter: action.name }, 'me'))
            else if (action.kind === 'rollback') run(() => registry.rollback('t', 'me'))
            else run(() => registry.scan())
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
          await registry.close()
          expect(registry.stats()).toMatchObject({ leases: 0, draining: 0, memory: { pinned: 0, waiting: 0 } })
          expect(host.held.size).toBe(registry.stats().memory.versions)
        },
      ),
      { numRuns: 30 },
    )
  })
})
