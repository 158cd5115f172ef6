import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { hostname } from 'node:os'
import { basename, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { defaultCacheDir, prepareModel } from '../../src/model/prepare.ts'
import type { PreparedModel } from '../../src/model/prepared.ts'
import { MANIFEST_FILE, WEIGHTS_FILE } from '../../src/model/prepared.ts'
import { openSafetensors } from '../../src/safetensors/file.ts'
import { temporaryFolder } from '../support/model-folder.ts'
import { relativeError, rowsOf } from '../support/prepared-rows.ts'
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
  expect(prepared.manifest.tensors[name]).toMatchObject({ format: 'f32' })
  return [...new Float32Array(Uint8Array.from(bytesOf(prepared, name)).buffer)]
}

function values(tensors: Tensors, name: string): number[] {
  return Array.from(tensors[name]!.values!)
}

/** Rows `[out, in]` of several weights, one below the other. */
function stacked(tensors: Tensors, names: readonly string[]): number[] {
  return names.flatMap((name) => values(tensors, name))
}

describe('what is written', () => {
  it('f32: fused weights in tiles, norms and biases', async () => {
    const tensors = tinyTensors({ biases: ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj'] })
    const config = { ...TINY_LLAMA, architectures: ['Qwen2ForCausalLM'], model_type: 'qwen2' }
    const prepared = await prepare(await place(config, tensors))
    const attention = ['q', 'k', 'v'].map((part) => `model.layers.1.self_attn.${part}_proj`)
    const mlp = ['gate', 'up'].map((part) => `model.layers.1.mlp.${part}_proj.weight`)
    const weights = attention.map((stem) => `${stem}.weight`)
    expect([...rowsOf(prepared, 'layers.1.qkv').rows]).toEqual(stacked(tensors, weights))
    // A tile is [inputs, 16 outputs]: 8 queries and zeros, then 4 keys and zeros, then 4 values and zeros.
    const tiles = floats(prepared, 'layers.1.qkv.w')
    expect(prepared.manifest.tensors['layers.1.qkv.w']!.shape).toEqual([3, 8, 16])
    expect(tiles[2 * 16 + 5]).toBe(values(tensors, weights[0]!)[5 * 8 + 2])
    expect(tiles.slice(2 * 16 + 8, 3 * 16)).toEqual(new Array(8).fill(0))
    expect(tiles[128 + 3 * 16 + 1]).toBe(values(tensors, weights[1]!)[8 + 3])
    expect(floats(prepared, 'layers.1.qkv.bias')).toEqual(attention.flatMap((stem) => values(tensors, `${stem}.bias`)))
    expect([...rowsOf(prepared, 'layers.1.gate_up').rows]).toEqual(stacked(tensors, mlp))
    const down = stacked(tensors, ['model.layers.0.mlp.down_proj.weight'])
    expect([...rowsOf(prepared, 'layers.0.down').rows]).toEqual(down)
    expect([...rowsOf(prepared, 'head').rows]).toEqual(values(tensors, 'lm_head.weight'))
    expect(floats(prepared, 'embed')).toEqual(values(tensors, 'model.embed_tokens.weight'))
    expect(floats(prepared, 'layers.0.mlp_norm')).toEqual(
      values(tensors, 'model.layers.0.post_attention_layernorm.weight'),
    )
    expect(Object.values(prepared.manifest.tensors).every(({ offset }) => offset % 64 === 0)).toBe(true)
    expect(prepared.manifest.info).toMatchObject({ name: 'tiny', family: 'qwen2', precision: 'f32', maxContext: 16 })
    expect(prepared.manifest.info.linear).toMatchObject({ q_proj: [8, 8], k_proj: [8, 4], down_proj: [40, 8] })
  })

  it('int4: rows close to the weights, a head of 8 bits, the embedding untouched', async () => {
    const tensors = tinyTensors({ qkNorm: true })
    const prepared = await prepare(await place(QWEN3, tensors), 'int4')
    const names = ['gate', 'up'].map((part) => `model.layers.0.mlp.${part}_proj.weight`)
    const expected = Float32Array.from(stacked(tensors, names))
    expect(prepared.manifest.tensors['layers.0.gate_up.w']).toMatchObject({ format: 'q4', shape: [6, 1, 4, 16, 4] })
    expect(relativeError(rowsOf(prepared, 'layers.0.gate_up').rows, expected)).toBeLessThan(0.08)
    expect(prepared.manifest.tensors['head.w']).toMatchObject({ format: 'q8' })
    expect(floats(prepared, 'embed')).toEqual(values(tensors, 'model.embed_tokens.weight'))
    expect(floats(prepared, 'layers.1.k_norm')).toEqual(values(tensors, 'model.layers.1.self_attn.k_norm.weight'))
  })

  it('a tied head stands for the embedding where it has the same values', async () => {
    const tensors = tinyTensors()
    delete tensors['lm_head.weight']
    const at = await place({ ...TINY_LLAMA, tie_word_embeddings: true }, tensors)
    const prepared = await prepare(at)
    expect([...rowsOf(prepared, 'head').rows]).toEqual(values(tensors, 'model.embed_tokens.weight'))
    expect(prepared.manifest.tensors).not.toHaveProperty('embed')
    expect((await prepare(at, 'int4')).manifest.tensors).toHaveProperty('embed')
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
    expect(JSON.parse(readFileSync(join(dir, MANIFEST_FILE), 'utf8'))).toMatchObject({ format: 4 })
  })

  it('a preparation that fails leaves nothing behind', async () => {
    const tensors = tinyTensors()
    tensors['model.layers.1.mlp.down_proj.weight'] = { shape: [8, 40], values: [NaN] }
    const at = await place(TINY_LLAMA, tensors)
    await expectRefusalAsync(() => prepare(at), 'invalid_model', 'model.layers.1.mlp.down_proj.weight')
    expect(readdirSync(at.cache)).toEqual(['fingerprints'])
  })

  it.each(['f32', 'int4'] as const)(
    'goes on where an earlier attempt was stopped, to the same bytes: %s',
    async (precision) => {
      const [at, other] = [await place(), await place()]
      const whole = await prepare(other, precision)
      let last = ''
      const stopAt = (_: number, __: number, what: string): void => {
        if (what === 'layers.1.down.w') throw new Error('stopped here')
        last = what
      }
      const options = { modelDir: at.model, cacheDir: at.cache, precision } as const
      await expect(prepareModel({ ...options, onProgress: stopAt })).rejects.toThrow('stopped here')
      expect(last).toContain('layers.1.')
      const seen: string[] = []
      const resumed = await prepareModel({ ...options, onProgress: (_, __, what) => seen.push(what) })
      expect(seen).toEqual(expect.arrayContaining(['model', 'layers.0']))
      expect(seen).not.toContain('layers.0.down.w')
      expect(seen).toContain('layers.1.qkv.w')
      const [x, y] = [resumed, whole].map(({ dir }) => readFileSync(join(dir, WEIGHTS_FILE)))
      expect(x!.equals(y!)).toBe(true)
      expect(resumed.manifest.digests).toEqual(whole.manifest.digests)
      expect(readdirSync(at.cache).filter((name) => name.startsWith('.'))).toEqual([])
    },
  )

  it('takes the place of a process that died, and waits for one that lives', async () => {
    const at = await place()
    const { dir } = await prepare(at)
    rmSync(dir, { recursive: true })
    const unfinished = join(at.cache, `.preparing-${basename(dir)}`)
    const lock = (pid: number): void => {
      mkdirSync(unfinished, { recursive: true })
      writeFileSync(join(unfinished, 'lock'), JSON.stringify({ id: 'x', host: hostname(), pid }))
    }
    const { pid: dead } = spawnSync(process.execPath, ['-e', ''])
    lock(dead)
    expect((await prepare(at)).dir).toBe(dir)
    rmSync(dir, { recursive: true })
    lock(process.ppid)
    const waited: string[] = []
    const options = { modelDir: at.model, cacheDir: at.cache, precision: 'f32' } as const
    const waiting = prepareModel({ ...options, onProgress: (_, __, what) => waited.push(what) })
    await expect.poll(() => waited.join()).toContain(`process ${process.ppid}`)
    rmSync(join(unfinished, 'lock'))
    expect((await waiting).dir).toBe(dir)
  })

  it('has the digest of every tensor', async () => {
    const prepared = await prepare(await place(), 'int4')
    const names = Object.keys(prepared.manifest.tensors)
    expect(Object.keys(prepared.manifest.digests).sort()).toEqual(names.sort())
    for (const name of names) {
      const digest = createHash('sha256').update(bytesOf(prepared, name)).digest('hex')
      expect(prepared.manifest.digests[name]).toBe(`sha256:${digest}`)
    }
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
