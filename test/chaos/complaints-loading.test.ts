/** Complaints about slow and failing loads, each a test on a registry whose loads the test controls: see complaints.test.ts. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import type { AdapterReader } from '../../src/registry/loader-messages.ts'
import { dropFake, readFakeAdapter } from '../support/fake-adapter.ts'
import { codeOf, openRegistry, upload } from '../support/registry-fixture.ts'

/** A reader that can be held up at one folder, and counts. */
class SlowReader {
  reads = 0
  held: string | null = null
  release: () => void = () => undefined

  readonly read: AdapterReader = async (dir) => {
    this.reads++
    if (this.held !== null && dir.includes(this.held)) await new Promise<void>((resolve) => (this.release = resolve))
    return readFakeAdapter(dir)
  }
}

it('does not hold up others behind a cold adapter (vLLM 16876)', async () => {
  const reader = new SlowReader()
  const { registry } = await openRegistry({ reader: reader.read, memoryBytes: 200 })
  for (const [index, name] of ['cold', 'other', 'warm'].entries()) {
    await upload(registry, name, { effect: index + 1, bytes: 60 })
  }
  for (const name of ['other', 'warm']) {
    await upload(registry, `filler-${name}`, { effect: 9, bytes: 150, salt: name })
    const evicting = await registry.acquire(registry.resolve({ model: `filler-${name}` }, '*'))
    evicting.release()
  }
  ;(await registry.acquire(registry.resolve({ model: 'warm' }, '*'))).release()
  reader.held = '/cold/'
  const cold = registry.acquire(registry.resolve({ model: 'cold' }, '*'))
  const warm = await registry.acquire(registry.resolve({ model: 'warm' }, '*'))
  const other = await registry.acquire(registry.resolve({ model: 'other' }, '*'))
  expect([...warm.tiers.values(), ...other.tiers.values()]).toEqual(['warm', 'cold'])
  warm.release()
  other.release()
  registry.checkIntegrity()
  reader.release()
  ;(await cold).release()
})

it('reads a cold adapter once for a hundred requests', async () => {
  const reader = new SlowReader()
  const first = await openRegistry({ reader: reader.read })
  await upload(first.registry, 'shared', { effect: 1 })
  await first.registry.close()
  const { registry } = await openRegistry({ reader: reader.read, storeDir: first.storeDir })
  reader.reads = 0
  const resolution = registry.resolve({ model: 'shared' }, '*')
  const leases = await Promise.all(Array.from({ length: 100 }, () => registry.acquire(resolution)))
  expect(reader.reads).toBe(1)
  for (const lease of leases) lease.release()
  registry.checkIntegrity()
})

it('says that a load fails instead of trying for ever (AIBrix 1860)', async () => {
  const reader = new SlowReader()
  const first = await openRegistry({ reader: reader.read })
  const { digest } = await upload(first.registry, 'altered', { effect: 1 })
  await first.registry.close()
  const folder = join(first.storeDir, 'adapters', 'altered', digest.slice('sha256:'.length))
  await writeFile(join(folder, 'adapter_model.safetensors'), 'altered')
  const { registry } = await openRegistry({ reader: reader.read, storeDir: first.storeDir })
  reader.reads = 0
  const resolution = registry.resolve({ model: 'altered' }, '*')
  for (let i = 0; i < 50; i++) expect(await codeOf(() => registry.acquire(resolution))).toBe('digest_mismatch')
  expect(reader.reads).toBe(1)
  expect(registry.stats().leases).toBe(0)
  registry.checkIntegrity()
})

it('rejects a dropped folder that cannot be served, with the reason, and leaves it alone', async () => {
  const reader = new SlowReader()
  const { registry, storeDir } = await openRegistry({ reader: reader.read })
  await dropFake(join(storeDir, 'adapters', 'dropped'), 'no weights')
  for (let i = 0; i < 10; i++) await registry.scan()
  const { versions } = registry.getAdapter('dropped', '*')
  expect(versions.map(({ state }) => state)).toEqual(['rejected'])
  expect(versions[0]!.reason).toMatch(/adapter_model\.safetensors: the header is broken/)
  expect(reader.reads).toBe(1)
})
