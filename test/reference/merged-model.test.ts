import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { readAdapter } from '../../src/adapters/read.ts'
import type { AdapterWeights } from '../../src/core/branch.ts'
import { TroupeError } from '../../src/core/errors.ts'
import { CheckpointWeights } from '../../src/model/base-weights.ts'
import { prepareModel } from '../../src/model/prepare.ts'
import { notMergeable } from '../../src/reference/block-merge.ts'
import { MergedModel } from '../../src/reference/merged-model.ts'
import { TOLERANCE, readReference } from '../support/conformance.ts'

const FIXTURES = join(import.meta.dirname, '../fixtures/conformance')

const cacheDir = mkdtempSync(join(tmpdir(), 'troupe-merged-'))
afterAll(() => rmSync(cacheDir, { recursive: true }))

/** Runs with a prepared model; an adapter is read from its folder. */
async function withModel<T>(
  modelDir: string,
  use: (model: MergedModel, read: (dir: string) => AdapterWeights, vocab: number) => Promise<T>,
): Promise<T> {
  const prepared = await prepareModel({ modelDir, precision: 'f32', cacheDir })
  const { info } = prepared.manifest
  const model = new MergedModel(prepared)
  const base = new CheckpointWeights(modelDir)
  try {
    return await use(model, (dir) => readAdapter(dir, info, base).weights, info.vocab)
  } finally {
    await model.close()
    base.close()
  }
}

function mergeable(read: (dir: string) => AdapterWeights, dir: string): AdapterWeights | 'not mergeable' {
  try {
    const weights = read(dir)
    return notMergeable(weights) === null ? weights : 'not mergeable'
  } catch (error) {
    // Some fixtures are there to be refused.
    if (error instanceof TroupeError) return 'not mergeable'
    throw error
  }
}

describe('a model with merged weights', () => {
  it.each(readdirSync(FIXTURES))('answers as the libraries do: %s', async (folder) => {
    const { model: modelDir, cases, adapters } = readReference(join(FIXTURES, folder))
    const single = cases.filter(({ mix }) => mix.length === 0 || (mix.length === 1 && mix[0]!.scale === 1))
    await withModel(modelDir, async (model, read, vocab) => {
      let merged = 0
      for (const { name, mix, prompts } of single) {
        const adapter = mix.length === 0 ? null : mergeable(read, adapters.get(mix[0]!.adapter)!)
        if (adapter === 'not mergeable') continue
        if (adapter !== null) merged++
        for (const { tokens, prompt_logprobs: expected } of prompts) {
          const found = await model.logprobs(Int32Array.from(tokens), adapter)
          for (let i = 1; i < tokens.length; i++) {
            const difference = Math.abs(found[(i - 1) * vocab + tokens[i]!]! - expected[i]!)
            expect(difference, `${name}, token ${i}`).toBeLessThan(TOLERANCE)
          }
        }
      }
      // All adapters of this folder have rows of tokens, which are in no weight matrix.
      if (folder !== 'qwen2-tokens') expect(merged).toBeGreaterThan(0)
    })
  })
})

describe('what has merged weights', () => {
  const { adapters, model } = readReference(join(FIXTURES, 'llama-methods'))
  it.each([
    ['bn-relu6', /bottleneck/],
    ['prompt', /virtual tokens/],
    ['prefix', /virtual tokens/],
  ])('not %s', async (name, reason) => {
    await withModel(model, async (_, read) => expect(notMergeable(read(adapters.get(name)!))).toMatch(reason))
  })
})
