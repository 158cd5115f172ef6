import { join } from 'node:path'
import { expect, it } from 'vitest'
import { readAdapter } from '../../../src/adapters/read.ts'
import type { TokenRows } from '../../../src/core/branch.ts'
import type { ModelInfo } from '../../../src/core/model-info.ts'
import { CheckpointWeights } from '../../../src/model/base-weights.ts'
import { prepareModel } from '../../../src/model/prepare.ts'
import { openSafetensors } from '../../../src/safetensors/file.ts'
import { temporaryFolder } from '../../support/model-folder.ts'

const FIXTURES = join(import.meta.dirname, '../../fixtures/conformance')

/** Reads an adapter as peft saved it, on the model that it was saved from. */
async function read(
  family: string,
  folder: string,
): Promise<{ rows: TokenRows; info: ModelInfo; saved: (name: string) => Float32Array }> {
  const modelDir = join(FIXTURES, family, 'model')
  const { manifest } = await prepareModel({ modelDir, cacheDir: await temporaryFolder(), precision: 'f32' })
  const base = new CheckpointWeights(modelDir)
  const dir = join(FIXTURES, folder)
  const file = openSafetensors(join(dir, 'adapter_model.safetensors'), 'invalid_adapter')
  try {
    const { weights } = readAdapter(dir, manifest.info, base)
    const tensors = new Map([...file.tensors.keys()].map((name) => [name, file.readF32(name)]))
    return { rows: weights.tokenRows!, info: manifest.info, saved: (name) => tensors.get(`base_model.model.${name}`)! }
  } finally {
    file.close()
    base.close()
  }
}

/** The trained tokens in the order of the configuration, and their places in ascending order. */
const TRAINED = [70, 101, 88, 300]
const PLACES = [0, 2, 1, 3]
const EMBED = 'model.embed_tokens.token_adapter.trainable_tokens_delta'

it('trained tokens are the rows that peft saved, and the head’s too where it is the embedding', async () => {
  for (const [family, tied] of [
    ['llama', false],
    ['qwen2', true],
  ] as const) {
    const { rows, info, saved } = await read(family, `${family}-tokens/adapters/tokens-${tied ? 'tied' : 'list'}`)
    expect([...rows.ids]).toEqual([...TRAINED].sort((a, b) => a - b))
    for (const [place, row] of PLACES.entries()) {
      const expected = saved(EMBED).subarray(row * info.hidden, (row + 1) * info.hidden)
      expect(rows.embed!.subarray(place * info.hidden, (place + 1) * info.hidden)).toEqual(expected)
    }
    expect(rows.head).toEqual(tied ? rows.embed : null)
  }
})

it('of a resized embedding and head the new rows alone count', async () => {
  const { rows, info, saved } = await read('qwen2', 'qwen2-tokens/adapters/tokens-new')
  expect([...rows.ids]).toEqual([info.vocab, info.vocab + 1])
  expect(rows.embed).toEqual(saved('model.embed_tokens.weight').slice(info.vocab * info.hidden))
  expect(rows.head).toEqual(saved('lm_head.weight').slice(info.vocab * info.hidden))
})

it('of modules trained whole every row counts', async () => {
  const { rows, info, saved } = await read('llama', 'llama-methods/adapters/lora-embed-saved')
  expect([rows.ids.length, rows.head]).toEqual([info.vocab, null])
  expect(rows.embed).toEqual(saved('model.embed_tokens.weight'))
})
