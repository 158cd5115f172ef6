/** Complaints about slow and failing loads, each a test on a rooms whose loads the test controls: see complaints.test.ts. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import type { AdapterReader } from '../../src/residency/loader-messages.ts'
import { dropFake, readFakeAdapter } from '../support/fake-adapter.ts'
import { codeOf, filesOf, openRooms, upload } from '../support/rooms.ts'

/** A reader that can be held up at one folder, and counts. */
class SlowReader {
  reads = 0
  held: string | null = null
  release: () => void = () => undefined

  readonly read: AdapterReader = async (dir) => {
    this.reads++
    if (this.held !== null && join(dir, '/') === this.held)
      await new Promise<void>((resolve) => (this.release = resolve))
    return readFakeAdapter(dir)
  }
}

it('does not hold up others behind a cold adapter (vLLM 16876)', async () => {
  const reader = new SlowReader()
  const { rooms, storeDir } = await openRooms({ reader: reader.read, memoryBytes: 200 })
  for (const [index, name] of ['cold', 'other', 'warm'].entries()) {
    await upload(rooms, name, { effect: index + 1, bytes: 60 })
  }
  for (const name of ['other', 'warm']) {
    await upload(rooms, `filler-${name}`, { effect: 9, bytes: 150, salt: name })
    const evicting = await rooms.residency.acquire(rooms.catalogue.resolve({ model: `filler-${name}` }, '*'))
    evicting.release()
  }
  ;(await rooms.residency.acquire(rooms.catalogue.resolve({ model: 'warm' }, '*'))).release()
  reader.held = filesOf(rooms, storeDir, 'cold')
  const cold = rooms.residency.acquire(rooms.catalogue.resolve({ model: 'cold' }, '*'))
  const warm = await rooms.residency.acquire(rooms.catalogue.resolve({ model: 'warm' }, '*'))
  const other = await rooms.residency.acquire(rooms.catalogue.resolve({ model: 'other' }, '*'))
  expect([...warm.tiers.values(), ...other.tiers.values()]).toEqual(['hot', 'cold'])
  warm.release()
  other.release()
  rooms.checkIntegrity()
  reader.release()
  ;(await cold).release()
})

it('reads a cold adapter once for a hundred requests', async () => {
  const reader = new SlowReader()
  const first = await openRooms({ reader: reader.read })
  await upload(first.rooms, 'shared', { effect: 1 })
  await first.rooms.close()
  const { rooms } = await openRooms({ reader: reader.read, storeDir: first.storeDir })
  reader.reads = 0
  const resolution = rooms.catalogue.resolve({ model: 'shared' }, '*')
  const leases = await Promise.all(Array.from({ length: 100 }, () => rooms.residency.acquire(resolution)))
  expect(reader.reads).toBe(1)
  for (const lease of leases) lease.release()
  rooms.checkIntegrity()
})

it('says that a load fails instead of trying for ever (AIBrix 1860)', async () => {
  const reader = new SlowReader()
  const first = await openRooms({ reader: reader.read })
  await upload(first.rooms, 'altered', { effect: 1 })
  await first.rooms.close()
  const folder = filesOf(first.rooms, first.storeDir, 'altered')
  await writeFile(join(folder, 'adapter_model.safetensors'), 'altered')
  const { rooms } = await openRooms({ reader: reader.read, storeDir: first.storeDir })
  reader.reads = 0
  const resolution = rooms.catalogue.resolve({ model: 'altered' }, '*')
  for (let i = 0; i < 50; i++) expect(await codeOf(() => rooms.residency.acquire(resolution))).toBe('digest_mismatch')
  expect(reader.reads).toBe(1)
  expect(rooms.stats().leases).toBe(0)
  rooms.checkIntegrity()
})

it('rejects a dropped folder that cannot be served, with the reason, and leaves it alone', async () => {
  const reader = new SlowReader()
  const { rooms, storeDir } = await openRooms({ reader: reader.read })
  await dropFake(join(storeDir, 'inbox', 'dropped'), 'no weights')
  for (let i = 0; i < 10; i++) await rooms.follow()
  const { versions } = rooms.catalogue.getAdapter('dropped', '*')
  expect(versions.map(({ state }) => state)).toEqual(['rejected'])
  expect(versions[0]!.reason).toMatch(/adapter_model\.safetensors: the header is broken/)
  expect(reader.reads).toBe(1)
})
