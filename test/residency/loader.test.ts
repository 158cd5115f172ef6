import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { MergeJob } from '../../src/adapters/merge.ts'
import { Loader } from '../../src/residency/loader.ts'
import { codeOf, messageOf, temporaryFolder } from '../support/rooms.ts'
import { readTiny, tinyLora, writeAdapter } from '../support/tiny-adapters.ts'
import { tinyInfo } from '../support/tiny-model.ts'

function openLoader(): Loader {
  const loader = new Loader({ info: tinyInfo(), modelDir: '' })
  onTestFinished(() => loader.close())
  return loader
}

describe('Loader', () => {
  it('brings weights over in shared memory, as reading them here gives', async () => {
    const dir = await temporaryFolder()
    writeAdapter(dir, tinyLora())
    const { weights, description } = await openLoader().read(dir)
    const here = readTiny(dir)
    expect(description).toEqual(here.description)
    expect(weights.digest).toBe(here.weights.digest)
    expect(weights.branches.map(({ down, up }) => [[...down], [...up]])).toEqual(
      here.weights.branches.map(({ down, up }) => [[...down], [...up]]),
    )
    const buffers = new Set(weights.branches.flatMap(({ down, up }) => [down.buffer, up.buffer]))
    expect([...buffers].every((buffer) => buffer instanceof SharedArrayBuffer)).toBe(true)
  })

  it('fills memory of the right size, and reads large files as well', async () => {
    const dir = await temporaryFolder()
    writeAdapter(dir, tinyLora(['q_proj'], 20_000))
    const loader = openLoader()
    const here = readTiny(dir)
    expect(here.weights.bytes).toBeGreaterThan(1 << 20)
    const memory = new SharedArrayBuffer(here.weights.bytes)
    const { weights } = await loader.read(dir, memory)
    expect(weights.digest).toBe(here.weights.digest)
    expect(Buffer.from(memory).equals(Buffer.from(here.weights.branches[0]!.down.buffer))).toBe(true)
    expect((await loader.read(dir)).weights.digest).toBe(here.weights.digest)
  })

  it('passes on errors with code, message and field, and goes on', async () => {
    const dir = await temporaryFolder()
    const loader = openLoader()
    writeAdapter(dir, tinyLora())
    writeFileSync(join(dir, 'adapter_model.safetensors'), 'short')
    await expect(loader.read(dir)).rejects.toMatchObject({
      code: 'invalid_adapter',
      param: expect.stringContaining('adapter_model.safetensors') as string,
    })
    expect(await codeOf(() => loader.read(join(dir, 'missing')))).not.toBe('none')
    writeAdapter(dir, tinyLora())
    expect((await loader.read(dir)).description.method).toBe('lora')
  })

  it('merges, and tells what is wrong with the adapters from what is wrong with the disk', async () => {
    const [dir, into] = [await temporaryFolder(), await temporaryFolder()]
    writeAdapter(dir, tinyLora())
    const loader = openLoader()
    const { digest } = (await loader.read(dir)).weights
    const job = { combination: 'cat' as const, into, limitBytes: Infinity }
    const source = { name: 'a@v1', dir, digest, weight: 2 }
    await loader.merge({ ...job, sources: [source, source] })
    expect((await loader.read(into)).description).toMatchObject({ method: 'lora', rank: 4 })
    const failed = (change: Partial<MergeJob>) => loader.merge({ ...job, sources: [source], ...change })
    await expect(failed({ into: join(into, 'missing') })).rejects.toMatchObject({
      code: 'storage_error',
      message: expect.stringContaining('cannot merge into') as string,
    })
    const other = { ...source, digest: `sha256:${'0'.repeat(64)}` }
    await expect(failed({ sources: [other] })).rejects.toMatchObject({ code: 'digest_mismatch', param: 'a@v1' })
  })

  it('stops cleanly, also with reads behind it', async () => {
    const dir = await temporaryFolder()
    writeAdapter(dir, tinyLora())
    const loader = openLoader()
    const reads = [1, 2, 3].map(() => codeOf(() => loader.read(dir)))
    await loader.close()
    await loader.close()
    for (const code of await Promise.all(reads)) expect(['none', 'not_ready']).toContain(code)
    expect(await messageOf(() => loader.read(dir))).toContain('stopping')
  })
})
