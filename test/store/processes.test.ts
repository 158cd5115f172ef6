import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { fakeDigest } from '../support/fake-adapter.ts'
import { openRooms, temporaryFolder, upload, ME } from '../support/rooms.ts'
import type { StoreCommand } from '../support/store-process.ts'

/** What is promised: changes are seen within two seconds. */
const SEEN = { timeout: 2_000, interval: 50 }

interface OtherProcess {
  ask(command: StoreCommand): Promise<unknown>
}

async function otherProcess(storeDir: string): Promise<OtherProcess> {
  const script = new URL('../support/store-process.ts', import.meta.url).pathname
  const child = spawn(process.execPath, ['--import', 'tsx', script, storeDir], { stdio: ['pipe', 'pipe', 'inherit'] })
  onTestFinished(() => void child.kill())
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const next = async (): Promise<unknown> => {
    const { value, done } = (await lines.next()) as IteratorResult<string, undefined>
    if (done) throw new Error('the other process has ended')
    return JSON.parse(value)
  }
  expect(await next()).toBe('ready')
  return {
    ask: (command) => {
      child.stdin.write(`${JSON.stringify(command)}\n`)
      return next()
    },
  }
}

describe('two processes on one store', () => {
  it('see each other’s changes within two seconds', async () => {
    const storeDir = await temporaryFolder()
    const other = await otherProcess(storeDir)
    const { rooms } = await openRooms({ storeDir, pace: { followMs: 1_000 } })
    await upload(rooms, 'a', { effect: 1 })
    await rooms.changes.putTask('t', { routes: [{ adapter: 'a' }] }, ME)
    await vi.waitFor(async () => {
      const route = { adapter: 'a', version: 1, weight: 1 }
      expect(await other.ask({ do: 'look' })).toEqual({ adapters: [['a', [1]]], tasks: [['t', [route]]] })
    }, SEEN)
    expect(await other.ask({ do: 'upload', name: 'a', effect: 2 })).toMatchObject({ version: 2 })
    await other.ask({ do: 'activate', task: 't', adapter: 'a' })
    await vi.waitFor(() => {
      expect(rooms.catalogue.resolve({ task: 't' }, 'x').adapters).toMatchObject([
        { digest: fakeDigest({ effect: 2 }) },
      ])
    }, SEEN)
    const held = await rooms.residency.acquire(rooms.catalogue.resolve({ model: 'a@v1' }, 'x'))
    expect(await other.ask({ do: 'delete', name: 'a', version: 1 })).toEqual({ status: 'deleted' })
    await vi.waitFor(
      () => expect(rooms.catalogue.getAdapter('a', 'x').versions[0]).toMatchObject({ state: 'draining' }),
      SEEN,
    )
    held.release()
    rooms.checkIntegrity()
  })

  it('cannot corrupt it, both writing at once', async () => {
    const storeDir = await temporaryFolder()
    const other = await otherProcess(storeDir)
    const { rooms } = await openRooms({ storeDir, pace: { followMs: 20 } })
    await upload(rooms, 'a', { effect: 1 })
    await rooms.changes.putTask('t', { routes: [{ adapter: 'a' }] }, ME)
    await vi.waitFor(async () => {
      expect(await other.ask({ do: 'look' })).toMatchObject({ tasks: [['t', expect.anything()]] })
    }, SEEN)

    const theirs: unknown[] = []
    const writeTheirs = async (): Promise<void> => {
      for (let n = 0; n < 12; n++) {
        theirs.push(await other.ask({ do: 'upload', name: 'a', effect: 100 + n }))
        expect(await other.ask({ do: 'activate', task: 't', adapter: 'a' })).not.toHaveProperty('error')
      }
    }
    const ours: { version: number; digest: string }[] = []
    const writeOurs = async (): Promise<void> => {
      for (let n = 0; n < 12; n++) {
        ours.push(await upload(rooms, 'a', { effect: 200 + n }))
        await rooms.changes.activate('t', { adapter: 'a' }, ME)
      }
    }
    await Promise.all([writeTheirs(), writeOurs()])

    const fresh = (await openRooms({ storeDir })).rooms
    const { versions } = fresh.catalogue.getAdapter('a', 'x')
    expect(versions.map(({ version }) => version)).toEqual(Array.from({ length: 25 }, (_, n) => n + 1))
    const stored = versions.map(({ version, digest }) => ({ version, digest }))
    for (const { version, digest } of [...theirs, ...ours] as { version: number; digest: string }[])
      expect(stored).toContainEqual({ version, digest })
    // Put once, then 24 activations, each counted: none was lost.
    expect(fresh.catalogue.getTask('t', 'x').revision).toBe(25)
    expect(fresh.stats().rejected).toBe(0)
  })
})
