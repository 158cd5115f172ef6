import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import type { Precision } from '../../src/core/model-info.ts'
import { prepareModel } from '../../src/model/prepare.ts'
import type { PreparedModel } from '../../src/model/prepared.ts'
import type { PackedMatrices } from '../support/packed-model.ts'
import { checkBlocks, promptLogprobs } from '../support/packed-model.ts'

/** Folders as GPTQModel, AutoGPTQ, AutoAWQ and compressed-tensors saved them: test/fixtures/generate/packed_libraries.py. */
const FIXTURES = join(import.meta.dirname, '../fixtures/packed-by-libraries')

interface Expected {
  readonly modules: PackedMatrices
  readonly tokens: readonly number[]
  /** What transformers computes in f32 from the matrices that the library unpacks. */
  readonly logprobs: readonly number[]
}

const root = mkdtempSync(join(tmpdir(), 'troupe-packed-'))
afterAll(() => rmSync(root, { recursive: true }))

function prepare(name: string, precision: Precision | 'auto'): Promise<PreparedModel> {
  return prepareModel({ modelDir: join(FIXTURES, name), precision, cacheDir: root })
}

describe.each(readdirSync(FIXTURES))('%s', (name) => {
  const { modules, tokens, logprobs } = JSON.parse(
    readFileSync(join(FIXTURES, name, 'expected.json'), 'utf8'),
  ) as Expected

  it('has the values that the library unpacks', async () => {
    expect(Object.keys(modules)).toHaveLength(7)
    const kept = await prepare(name, 'auto')
    expect(kept.manifest.info.precision).toBe(name.includes('8-bits') ? 'int8' : 'int4')
    checkBlocks(await prepare(name, 'f32'), kept, modules)
  })

  it('answers as transformers does with these values; as packed, but for the rounding of activations and head', async () => {
    const exact = differences(await promptLogprobs(await prepare(name, 'f32'), tokens), logprobs)
    expect(Math.max(...exact)).toBeLessThan(1e-4)
    const rounded = differences(await promptLogprobs(await prepare(name, 'auto'), tokens), logprobs)
    expect(rounded.reduce((sum, value) => sum + value) / rounded.length).toBeLessThan(0.1)
  })
})

function differences(found: readonly number[], expected: readonly number[]): number[] {
  expect(found).toHaveLength(expected.length)
  return found.map((value, i) => Math.abs(value - expected[i]!))
}
