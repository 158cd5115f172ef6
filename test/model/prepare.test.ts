import { existsSync, readFileSync, readdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { defaultCacheDir, prepareModel } from '../../src/model/prepare.ts'
import type { PreparedModel } from '../../src/model/prepared.ts'
import { MANIFEST_FILE, WEIGHTS_FILE } from '../../src/model/prepared.ts'
import { openSafetensors } from '../../src/safetensors/file.ts'
import { temporaryFolder } from '../support/model-folder.ts'
import { expectRefusalAsync } from '../support/refusal.ts'
import type { Tensors } from '../support/tiny-checkpoint.ts'
import { TINY_LLAMA, tinyTensors, writeCheckpoint, writeShardedCheckpoint } from '../support/tiny-checkpoint.ts'

const QWEN3 = { ...TINY_LLAMA, architectures: ['Qwen3ForCausalLM'], model_type: 'qwen3', head_dim: 4 }

interface Place {
  readonly model: string
  readonly cache: string
}

async function place(config: object = TINY_LLAMA, tensors: Tensors = tinyTensors()): Promise<Place> {
  const root = await temporaryFolder()
  return { model: writeCheckpoint(join(root, 'tiny'), config, tensors), cache: join(root, 'cache') }
}

function prepare(
  { model, cache }: Place,
  precision: 'auto' | 'f32' | 'int4' = 'f32',
  name?: string,
): Promise<PreparedModel> {
  return prepareModel({ modelDir: model, cacheDir: cache, precision, ...(name === undefined ? {} : { name }) })
}

function bytesOf({ dir, manifest }: PreparedModel, name: string): Uint8Array {
  const { offset, bytes } = manifest.tensors[name]!
  return readFileSync(join(dir, WEIGHTS_FILE)).subarray(offset, offset + bytes)
}

function floats(prepared: PreparedModel, name: string): number[] {
  expect(prepared.manifest.tensors[name]).toMatchObject({ dtype: 'f32' })
  return [...new Float32Array(Uint8Array.from(bytesOf(prepared, name)).buffer)]
}

function values(tensors: Tensors, name: string): number[] {
  return Array.from(tensors[name]!.values!)
}

/** `[out, in]` rows of several weights, transposed to `[in, out]` with the outputs side by side. */
function sideBySide(tensors: Tensors, names: readonly string[], inDim: number): number[] {
  const rows = names.flatMap((name) => {
    const all = values(tensors, name)
    return Array.from({ length: all.length / inDim }, (_, row) => all.slice(row * inDim, (row + 1) * inDim))
  })
  return Array.from({ length: inDim }, (_, i) => rows.map((row) => row[i]!)).flat()
}

describe('what is written', () => {
  it('f32: transposed and fused weights, norms, biases and rotation tables', async () => {
    const tensors = tinyTensors({ biases: ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj'] })
    const config = { ...TINY_LLAMA, architectures: ['Qwen2ForCausalLM'], model_type: 'qwen2' }
    const prepared = await prepare(await place(config, tensors))
    const attention = ['q', 'k', 'v'].map((part) => `model.layers.1.self_attn.${part}_proj`)
    const mlp = ['gate', 'up'].map((part) => `model.layers.1.mlp.${part}_proj.weight`)
    const weights = attention.map((stem) => `${stem}.weight`)
    expect(floats(prepared, 'layers.1.qkv.weight')).toEqual(sideBySide(tensors, weights, 8))
    expect(floats(prepared, 'layers.1.qkv.bias')).toEqual(attention.flatMap((stem) => values(tensors, `${stem}.bias`)))
    expect(floats(prepared, 'layers.1.gate_up.weight')).toEqual(sideBySide(tensors, mlp, 8))
    expect(floats(prepared, 'layers.0.down.weight')).toEqual(
      sideBySide(tensors, ['model.layers.0.mlp.down_proj.weight'], 40),
    )
    expect(floats(prepared, 'head.weight')).toEqual(sideBySide(tensors, ['lm_head.weight'], 8))
    expect(floats(prepared, 'embed')).toEqual(values(tensors, 'model.embed_tokens.weight'))
    expect(floats(prepared, 'layers.0.mlp_norm')).toEqual(
      values(tensors, 'model.layers.0.post_attention_layernorm.weight'),
    )
    expect(floats(prepared, 'rope.sin').slice(6, 8)).toEqual([Math.fround(Math.sin(3)), Math.fround(Math.sin(0.03))])
    expect(floats(prepared, 'rope.cos').slice(0, 2)).toEqual([1, 1])
    expect(Object.values(prepared.manifest.tensors).every(({ offset }) => offset % 64 === 0)).toBe(true)
    expect(prepared.manifest.info).toMatchObject({ name: 'tiny', family: 'qwen2', precision: 'f32', maxContext: 16 })
    expect(prepared.manifest.info.linear).toMatchObject({ q_proj: [8, 8], k_proj: [8, 4], down_proj: [40, 8] })
  })

  it('int4: fused rows close to the weights, the embedding untouched', async () => {
    const tensors = tinyTensors({ qkNorm: true })
    const prepared = await prepare(await place(QWEN3, tensors), 'int4')
    const q4 = bytesOf(prepared, 'layers.0.gate_up.q4')
    const scales = floats(prepared, 'layers.0.gate_up.scales')
    const rows = [
      ...values(tensors, 'model.layers.0.mlp.gate_proj.weight'),
      ...values(tensors, 'model.layers.0.mlp.up_proj.weight'),
    ]
    expect(prepared.manifest.tensors['layers.0.gate_up.q4']?.shape).toEqual([80, 1, 16])
    rows.forEach((weight, i) => {
      const [row, col] = [Math.floor(i / 8), i % 8]
      const nibble = (q4[row * 16 + (col >> 1)]! >> (4 * (col % 2))) & 15
      expect(Math.abs((nibble - 8) * scales[row]! - weight)).toBeLessThan(0.16)
    })
    expect(floats(prepared, 'embed')).toEqual(values(tensors, 'model.embed_tokens.weight'))
    expect(floats(prepared, 'layers.1.k_norm')).toEqual(values(tensors, 'model.layers.1.self_attn.k_norm.weight'))
  })

  it('a tied head is the embedding, transposed', async () => {
    const tensors = tinyTensors()
    delete tensors['lm_head.weight']
    const prepared = await prepare(await place({ ...TINY_LLAMA, tie_word_embeddings: true }, tensors))
    expect(floats(prepared, 'head.weight')).toEqual(sideBySide(tensors, ['model.embed_tokens.weight'], 8))
  })

  it('a sharded checkpoint and a single file make the same model', async () => {
    const one = await place()
    const single = await prepare(one)
    const sharded = await prepare({ model: writeShardedCheckpoint(`${one.model}-shards`), cache: `${one.cache}-2` })
    expect(sharded.manifest.info.fingerprint).toBe(single.manifest.info.fingerprint)
    const [x, y] = [single, sharded].map(({ dir }) => readFileSync(join(dir, WEIGHTS_FILE)))
    expect(x!.equals(y!)).toBe(true)
  })
})

describe('the cache', () => {
  it('is used the second time, whatever the model is called, and links are followed', async () => {
    const at = await place()
    let calls = 0
    const onProgress = (): unknown => calls++
    const first = await prepareModel({ modelDir: at.model, cacheDir: at.cache, precision: 'f32', onProgress })
    expect(calls).toBeGreaterThan(10)
    calls = 0
    symlinkSync(at.model, `${at.model}-link`)
    const options = { modelDir: `${at.model}-link`, cacheDir: at.cache, precision: 'f32', name: 'other' } as const
    const second = await prepareModel({ ...options, onProgress })
    expect(calls).toBe(0)
    expect(second.dir).toBe(first.dir)
    expect(second.manifest.info.name).toBe('other')
  })

  it('progress goes up to its total', async () => {
    const { model, cache } = await place()
    const seen: [number, number][] = []
    const onProgress = (done: number, total: number): unknown => seen.push([done, total])
    await prepareModel({ modelDir: model, cacheDir: cache, precision: 'int4', onProgress })
    expect(seen.every(([done], i) => i === 0 || done >= seen[i - 1]![0])).toBe(true)
    const [done, total] = seen.at(-1)!
    expect(done).toBeLessThanOrEqual(total)
    expect(done).toBeGreaterThan(0.9 * total)
  })

  it('sees changed weights, another configuration and another precision', async () => {
    const at = await place()
    const dirs = new Set([(await prepare(at)).dir, (await prepare(at, 'int4')).dir])
    writeCheckpoint(at.model, TINY_LLAMA, { ...tinyTensors(), 'model.norm.weight': { shape: [8] } })
    dirs.add((await prepare(at)).dir)
    writeCheckpoint(at.model, { ...TINY_LLAMA, rope_theta: 500 })
    dirs.add((await prepare(at)).dir)
    expect(dirs.size).toBe(4)
    expect((await prepare(at, 'auto')).manifest.info.precision).toBe('f32')
  })

  it('a damaged entry is made again', async () => {
    const at = await place()
    const { dir } = await prepare(at)
    const whole = readFileSync(join(dir, WEIGHTS_FILE))
    truncateSync(join(dir, WEIGHTS_FILE), 100)
    expect((await prepare(at)).dir).toBe(dir)
    expect(readFileSync(join(dir, WEIGHTS_FILE)).equals(whole)).toBe(true)
    writeFileSync(join(dir, MANIFEST_FILE), '{')
    await prepare(at)
    expect(JSON.parse(readFileSync(join(dir, MANIFEST_FILE), 'utf8'))).toMatchObject({ format: 3 })
  })

  it('a preparation that fails leaves nothing behind', async () => {
    const tensors = tinyTensors()
    tensors['model.layers.1.mlp.down_proj.weight'] = { shape: [8, 40], values: [NaN] }
    const at = await place(TINY_LLAMA, tensors)
    await expectRefusalAsync(() => prepare(at), 'invalid_model', 'model.layers.1.mlp.down_proj.weight')
    expect(readdirSync(at.cache)).toEqual(['fingerprints'])
  })

  it('two at once make one', async () => {
    const at = await place()
    const [x, y] = await Promise.all([prepare(at), prepare(at)])
    expect(x.dir).toBe(y.dir)
    expect(existsSync(join(x.dir, MANIFEST_FILE))).toBe(true)
    expect(readdirSync(at.cache)).toHaveLength(2)
  })

  it('lies where the environment says', () => {
    expect(defaultCacheDir({ TROUPE_CACHE: '/a', XDG_CACHE_HOME: '/b' })).toBe('/a')
    expect(defaultCacheDir({ XDG_CACHE_HOME: '/b' })).toBe(join('/b', 'troupe'))
    expect(defaultCacheDir({})).toMatch(/\.cache.troupe$/)
  })
})

it('a model saved without its head lacks the first part of every name and makes the same model', async () => {
  const whole = join(import.meta.dirname, '../fixtures/conformance/gpt2/model')
  const root = await temporaryFolder()
  const file = openSafetensors(join(whole, 'model.safetensors'), 'invalid_model')
  const tensors: Tensors = {}
  for (const [name, { shape }] of file.tensors) {
    const count = shape.reduce((product, size) => product * size, 1)
    const values = file.readF32(name, new Float32Array(count))
    tensors[name.replace('transformer.', '')] = { shape, values }
  }
  file.close()
  tensors['h.0.attn.bias'] = { shape: [1, 1, 96, 96] }
  const config = JSON.parse(readFileSync(join(whole, 'config.json'), 'utf8')) as object
  const bare = await prepare({
    model: writeCheckpoint(join(root, 'gpt2'), config, tensors),
    cache: join(root, 'cache'),
  })
  const same = await prepare({ model: whole, cache: join(root, 'cache') })
  const [x, y] = [bare, same].map(({ dir }) => readFileSync(join(dir, WEIGHTS_FILE)))
  expect(x!.equals(y!)).toBe(true)
})
