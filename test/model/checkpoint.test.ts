import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { prepareModel } from '../../src/model/prepare.ts'
import { temporaryFolder } from '../support/model-folder.ts'
import { expectRefusalAsync } from '../support/refusal.ts'
import type { Tensors } from '../support/tiny-checkpoint.ts'
import { TINY_LLAMA, tinyTensors, writeCheckpoint, writeShardedCheckpoint } from '../support/tiny-checkpoint.ts'

async function expectRefused(dir: string, text: string): Promise<void> {
  const cacheDir = join(await temporaryFolder(), 'cache')
  await expectRefusalAsync(() => prepareModel({ modelDir: dir, cacheDir, precision: 'f32' }), 'invalid_model', text)
}

async function folder(): Promise<string> {
  return join(await temporaryFolder(), 'model')
}

describe('files of a checkpoint are missed by name', () => {
  it('the folder, its configuration, its weights', async () => {
    const dir = await folder()
    await expectRefused(dir, 'does not exist')
    writeCheckpoint(dir)
    rmSync(join(dir, 'model.safetensors'))
    await expectRefused(dir, 'model.safetensors.index.json')
    rmSync(join(dir, 'config.json'))
    await expectRefused(dir, 'config.json')
  })

  it('what lies there instead: a GGUF file, a web page, an adapter', async () => {
    const dir = await folder()
    writeCheckpoint(dir)
    writeFileSync(join(dir, 'model.safetensors'), '<!doctype html>\n<html>sign in')
    await expectRefused(dir, 'model.safetensors is a web page')
    writeFileSync(join(dir, 'model-q4.gguf'), 'GGUF')
    await expectRefused(join(dir, 'model-q4.gguf'), 'is a GGUF file: give the folder of a checkpoint')
    rmSync(join(dir, 'model.safetensors'))
    await expectRefused(dir, 'only model-q4.gguf')
    rmSync(join(dir, 'config.json'))
    writeFileSync(join(dir, 'adapter_config.json'), '{}')
    await expectRefused(dir, 'is an adapter, not a base model')
  })

  it('the index of shards is not: their names say how many there are', async () => {
    const dir = await folder()
    writeShardedCheckpoint(dir)
    const cacheDir = join(await temporaryFolder(), 'cache')
    const prepare = () => prepareModel({ modelDir: dir, cacheDir, precision: 'f32' })
    const { fingerprint } = (await prepare()).manifest.info
    rmSync(join(dir, 'model.safetensors.index.json'))
    expect((await prepare()).manifest.info.fingerprint).toBe(fingerprint)
    const shard = readdirSync(dir).find((name) => name.endsWith('.safetensors'))!
    rmSync(join(dir, shard))
    await expectRefused(dir, `the shard ${shard} is missing`)
  })

  it('a shard, and a tensor that the index promises', async () => {
    const dir = writeShardedCheckpoint(await folder())
    const index = join(dir, 'model.safetensors.index.json')
    const { weight_map: weightMap } = JSON.parse(readFileSync(index, 'utf8')) as { weight_map: Record<string, string> }
    writeFileSync(index, JSON.stringify({ weight_map: { ...weightMap, ghost: 'model-00001-of-00002.safetensors' } }))
    await expectRefused(dir, '"ghost"')
    writeFileSync(index, JSON.stringify({ weight_map: { ...weightMap, ghost: '../secret.safetensors' } }))
    await expectRefused(dir, 'same folder')
    writeFileSync(index, JSON.stringify({ weight_map: weightMap }))
    rmSync(join(dir, 'model-00002-of-00002.safetensors'))
    await expectRefused(dir, 'model-00002-of-00002.safetensors')
  })
})

describe('tensors of a checkpoint', () => {
  const cases: Record<string, [(tensors: Tensors) => void, string]> = {
    'one is missing': [
      (t) => delete t['model.layers.1.mlp.up_proj.weight'],
      '"model.layers.1.mlp.up_proj.weight" is missing',
    ],
    'the head is missing and not tied': [(t) => delete t['lm_head.weight'], 'tie_word_embeddings'],
    'one has another shape': [(t) => (t['model.norm.weight'] = { shape: [9] }), '"model.norm.weight" is [9]'],
    'one is unknown': [(t) => (t['model.layers.0.self_attn.q_proj.bias'] = { shape: [8] }), 'q_proj.bias'],
    'a layer too many': [(t) => (t['model.layers.2.input_layernorm.weight'] = { shape: [8] }), 'model.layers.2'],
    'one is of integers': [
      (t) => (t['model.norm.weight'] = { dtype: 'I16', shape: [8], bits: new Uint16Array(8) }),
      '"model.norm.weight" is I16',
    ],
  }
  for (const [what, [change, text]] of Object.entries(cases)) {
    it(`refused: ${what}`, async () => {
      const tensors = tinyTensors()
      change(tensors)
      await expectRefused(writeCheckpoint(await folder(), TINY_LLAMA, tensors), text)
    })
  }

  it('a tied head that differs from the embedding is ambiguous; an equal one and derived tensors are fine', async () => {
    const tied = { ...TINY_LLAMA, tie_word_embeddings: true }
    await expectRefused(writeCheckpoint(await folder(), tied), 'differs from')
    const tensors = tinyTensors()
    tensors['lm_head.weight'] = tensors['model.embed_tokens.weight']!
    tensors['model.layers.0.self_attn.rotary_emb.inv_freq'] = { shape: [2] }
    const dir = writeCheckpoint(await folder(), tied, tensors)
    const prepared = await prepareModel({ modelDir: dir, cacheDir: `${dir}-cache`, precision: 'f32' })
    expect(prepared.manifest.architecture.tiedHead).toBe(true)
  })
})
