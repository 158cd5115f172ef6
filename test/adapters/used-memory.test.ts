import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { sha256Open } from '../../src/adapters/digest.ts'
import { readAdapter, readAdapterBeside } from '../../src/adapters/read.ts'
import type { AdapterWeights, Method } from '../../src/core/branch.ts'
import { METHODS } from '../../src/core/branch.ts'
import type { ModelInfo } from '../../src/core/model-info.ts'
import { CheckpointWeights } from '../../src/model/base-weights.ts'
import { prepareModel } from '../../src/model/prepare.ts'
import { modelDir } from '../support/fixtures.ts'
import { temporaryFolder } from '../support/model-folder.ts'
import { expectRefusalAsync } from '../support/refusal.ts'
import { readTiny, TINY_BASE, tinyLora, writeAdapter } from '../support/tiny-adapters.ts'
import { tinyInfo } from '../support/tiny-model.ts'

const FIXTURES = join(import.meta.dirname, '../fixtures/conformance')
const cacheDir = mkdtempSync(join(tmpdir(), 'troupe-memory-'))
afterAll(() => rmSync(cacheDir, { recursive: true }))

/** All values, array by array. */
function valuesOf({ branches, gains, virtualTokens }: AdapterWeights): (number[] | null)[] {
  const virtual =
    virtualTokens?.type === 'keys_values'
      ? virtualTokens.layers.flatMap(({ keys, values }) => [keys, values])
      : [virtualTokens?.values ?? null]
  const arrays = [
    ...branches.flatMap(({ down, up, a, c }) => [down, up, a, c]),
    ...gains.map(({ values }) => values),
    ...virtual,
  ]
  return arrays.map((values) => values && [...values])
}

/** Null for the adapters of the fixtures that are there to be refused. */
function readable<T>(read: () => T): T | null {
  try {
    return read()
  } catch (error) {
    expect(error).toMatchObject({ code: 'unsupported_adapter' })
    return null
  }
}

function usedMemory(bytes: number): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(bytes)
  new Float32Array(memory).fill(NaN)
  return memory
}

const hash = (fd: number): Promise<string> => Promise.resolve(sha256Open(fd))

describe('reading into memory that was used before', () => {
  it('gives what new memory gives, for every method', async () => {
    const model = modelDir('llama')
    const info: ModelInfo = (await prepareModel({ modelDir: model, precision: 'f32', cacheDir })).manifest.info
    const base = new CheckpointWeights(model)
    const methods = new Set<Method>()
    for (const folder of ['llama', 'llama-methods', 'llama-tokens']) {
      const root = join(FIXTURES, folder, 'adapters')
      for (const name of readdirSync(root)) {
        const fresh = readable(() => readAdapter(join(root, name), info, base))
        if (!fresh) continue
        methods.add(fresh.weights.method)
        const memory = usedMemory(fresh.weights.bytes)
        const again = await readAdapterBeside(join(root, name), info, base, { hash, memory })
        expect(again.weights.digest, name).toBe(fresh.weights.digest)
        expect(again.description, name).toEqual(fresh.description)
        expect(valuesOf(again.weights), name).toEqual(valuesOf(fresh.weights))
        const first = again.weights.branches[0]?.down ?? again.weights.gains[0]?.values
        if (first) expect(first.buffer, name).toBe(memory)
      }
    }
    base.close()
    expect([...methods].sort()).toEqual([...METHODS].sort())
  })

  it('takes new memory where that has another size', async () => {
    const dir = writeAdapter(join(await temporaryFolder(), 'a'), tinyLora())
    const { bytes } = readTiny(dir).weights
    for (const size of [bytes - 4, bytes + 4]) {
      const memory = usedMemory(size)
      const { weights } = await readAdapterBeside(dir, tinyInfo(), TINY_BASE, { hash, memory })
      expect(weights.branches[0]!.down.buffer).not.toBe(memory)
      expect(valuesOf(weights)).toEqual(valuesOf(readTiny(dir).weights))
    }
  })

  it('keeps the file open for who hashes it, also when it is refused meanwhile, and tells what went wrong there', async () => {
    const dir = writeAdapter(join(await temporaryFolder(), 'a'), tinyLora())
    const late = async (fd: number): Promise<string> => {
      await new Promise((resolve) => setTimeout(resolve, 20))
      return sha256Open(fd)
    }
    const read = (hash: (fd: number) => Promise<string>, info = tinyInfo()): Promise<unknown> =>
      readAdapterBeside(dir, info, TINY_BASE, { hash, memory: null })
    await expect(read(late)).resolves.toMatchObject({ weights: { digest: readTiny(dir).weights.digest } })
    let hashed = ''
    const noted = async (fd: number): Promise<string> => (hashed = await late(fd))
    await expectRefusalAsync(() => read(noted, tinyInfo({ layers: 1 })), 'base_mismatch', 'layers')
    expect(hashed).toMatch(/^[0-9a-f]{64}$/)
    await expect(read(() => Promise.reject(new Error('the disk is gone')))).rejects.toThrow('the disk is gone')
  })
})
