import { createHash } from 'node:crypto'
import { cpSync, readFileSync, readdirSync, rmSync, writeFileSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import type { Precision } from '../../src/core/model-info.ts'
import { GREEDY } from '../../src/core/generation.ts'
import { Engine } from '../../src/engine/engine.ts'
import { prepareModel } from '../../src/model/prepare.ts'
import type { PreparedModel } from '../../src/model/prepared.ts'
import { WEIGHTS_FILE } from '../../src/model/prepared.ts'
import { expectRefusalAsync } from '../support/refusal.ts'

/** Folders packed by test/fixtures/generate/packed_weights.py, and the matrices that were packed. */
const FIXTURES = join(import.meta.dirname, '../fixtures/packed')
const CASES = readdirSync(FIXTURES)

interface Expected {
  readonly shape: readonly [number, number]
  readonly sha256: string
  readonly first: readonly number[]
}

const root = mkdtempSync(join(tmpdir(), 'troupe-packed-'))
const cacheDir = join(root, 'cache')
afterAll(() => rmSync(root, { recursive: true }))

function prepare(name: string, precision: Precision | 'auto' = 'auto'): Promise<PreparedModel> {
  return prepareModel({ modelDir: join(FIXTURES, name), precision, cacheDir })
}

/** Modules whose outputs lie side by side in a block. */
const BLOCKS: Readonly<Record<string, readonly string[]>> = {
  'layers.0.qkv': ['q_proj', 'k_proj', 'v_proj'].map((kind) => `model.layers.0.self_attn.${kind}`),
  'layers.0.o': ['model.layers.0.self_attn.o_proj'],
  'layers.0.gate_up': ['gate_proj', 'up_proj'].map((kind) => `model.layers.0.mlp.${kind}`),
  'layers.0.down': ['model.layers.0.mlp.down_proj'],
  head: ['lm_head'],
}

function bytes({ dir, manifest }: PreparedModel, name: string): Uint8Array {
  const { offset, bytes: count } = manifest.tensors[name]!
  return Uint8Array.from(readFileSync(join(dir, WEIGHTS_FILE)).subarray(offset, offset + count))
}

/** A block's matrix `[out, in]` as MatMulNBits defines it, from the prepared bytes. */
function blockMatrix(prepared: PreparedModel, block: string, inDim: number): Float32Array {
  const { tensors } = prepared.manifest
  const bits = `${block}.q4` in tensors ? 4 : 8
  const [outDim, blocks, width] = tensors[`${block}.q${bits}`]!.shape as [number, number, number]
  const size = (width * 8) / bits
  const steps = bytes(prepared, `${block}.q${bits}`)
  const scales = new Float32Array(bytes(prepared, `${block}.scales`).buffer)
  const zeros = `${block}.zeros` in tensors ? bytes(prepared, `${block}.zeros`) : null
  const inputs = `${block}.inputs` in tensors ? new BigInt64Array(bytes(prepared, `${block}.inputs`).buffer) : null
  const nibble = (all: Uint8Array, at: number, i: number): number =>
    bits === 8 ? all[at + i]! : (all[at + (i >> 1)]! >> (4 * (i & 1))) & 15
  const matrix = new Float32Array(outDim * inDim)
  for (let out = 0; out < outDim; out++) {
    for (let i = 0; i < inDim; i++) {
      const group = Math.floor(i / size)
      const step = nibble(steps, (out * blocks + group) * width, i % size)
      const zero = zeros === null ? 2 ** (bits - 1) : nibble(zeros, out * Math.ceil((blocks * bits) / 8), group)
      matrix[out * inDim + Number(inputs?.[i] ?? i)] = (step - zero) * scales[out * blocks + group]!
    }
  }
  return matrix
}

/** `[in, out]` as `[out, in]`. */
function turned(weights: Float32Array, inDim: number): Float32Array {
  const outDim = weights.length / inDim
  return Float32Array.from(weights, (_, i) => weights[(i % inDim) * outDim + Math.floor(i / inDim)]!)
}

function checkModules(matrix: Float32Array, modules: readonly string[], expected: Record<string, Expected>): void {
  let start = 0
  for (const module of modules) {
    const { shape, sha256, first } = expected[module]!
    const part = matrix.slice(start, (start += shape[0] * shape[1]))
    expect([...part.subarray(0, 8)], module).toEqual(first)
    expect(createHash('sha256').update(new Uint8Array(part.buffer)).digest('hex'), module).toBe(sha256)
  }
  expect(start).toBe(matrix.length)
}

describe.each(CASES)('%s', (name) => {
  const expected = JSON.parse(readFileSync(join(FIXTURES, name, 'expected.json'), 'utf8')) as Record<string, Expected>
  const packedBlocks = Object.entries(BLOCKS).filter(([, modules]) => modules[0]! in expected)

  it('keeps its blocks by itself, value for value', async () => {
    const prepared = await prepare(name)
    expect(prepared.manifest.info.precision).toBe(name.includes('8') ? 'int8' : 'int4')
    for (const [block, modules] of packedBlocks) {
      checkModules(blockMatrix(prepared, block, expected[modules[0]!]!.shape[1]), modules, expected)
    }
    if (!('lm_head' in expected)) expect(prepared.manifest.tensors).toHaveProperty(['head.q8'])
  })

  it('is the same in f32', async () => {
    const prepared = await prepare(name, 'f32')
    for (const [block, modules] of packedBlocks) {
      const weights = new Float32Array(bytes(prepared, `${block}.weight`).buffer)
      checkModules(turned(weights, expected[modules[0]!]!.shape[1]), modules, expected)
    }
  })

  it('answers from its blocks as from its values, but for the rounding of activations', async () => {
    const [kept, plain] = [await promptLogprobs(name, 'auto'), await promptLogprobs(name, 'f32')]
    expect(kept).toHaveLength(plain.length)
    kept.forEach((value, i) => expect(Math.abs(value - plain[i]!)).toBeLessThan(0.1))
  })
})

async function promptLogprobs(name: string, precision: Precision | 'auto'): Promise<number[]> {
  const { dir } = await prepare(name, precision)
  const sizes = { maxBatch: 1, maxContext: 32, prefillChunk: 16, bankBytes: 1e6, prefixCacheBytes: 0 }
  const engine = await Engine.start({ preparedDir: dir, device: 'cpu', threads: 1, speculation: 0, ...sizes })
  try {
    const tokens = Int32Array.from({ length: 16 }, (_, i) => (i * 7) % 32)
    const request = { tokens, mix: [], sampling: GREEDY, maxTokens: 1, stopTokens: [] }
    const found: number[] = []
    for await (const event of engine.generate({ ...request, logprobs: 0, promptLogprobs: true })) {
      if (event.type === 'prompt') found.push(...event.logprobs.slice(1).map((item) => item!.logprob))
    }
    return found
  } finally {
    await engine.stop()
  }
}

describe('refusals name what is not supported', () => {
  interface Config {
    quantization_config: Record<string, unknown>
  }

  async function refused(name: string, change: (config: Config) => void, text: string): Promise<void> {
    const modelDir = mkdtempSync(join(root, 'changed-'))
    cpSync(join(FIXTURES, name), modelDir, { recursive: true })
    const path = join(modelDir, 'config.json')
    const config = JSON.parse(readFileSync(path, 'utf8')) as Config
    change(config)
    writeFileSync(path, JSON.stringify(config))
    await expectRefusalAsync(() => prepareModel({ modelDir, precision: 'auto', cacheDir }), 'invalid_model', text)
  }

  const settings: readonly (readonly [string, Record<string, unknown>, string])[] = [
    ['gptq-sym', { quant_method: 'bitsandbytes' }, '"bitsandbytes" are not supported; supported are gptq, awq'],
    ['gptq-sym', { quant_method: 'fp8' }, '"fp8"'],
    ['gptq-sym', { bits: 3 }, '"bits" is 3'],
    ['gptq-sym', { group_size: 48 }, '"group_size" is 48'],
    ['gptq-sym', { checkpoint_format: 'marlin' }, '"checkpoint_format" is "marlin"'],
    ['gptq-sym', { dynamic: { '+:.*down.*': { bits: 8 } } }, '"dynamic"'],
    ['gptq-sym', { checkpoint_format: 'gptq_v2' }, 'has the zero point 7 and not 8'],
    ['gptq-sym', { group_size: 64 }, 'is [2, 8], config.json gives [1, 8]'],
    ['gptq-v2', { checkpoint_format: 'gptq' }, 'zero point that format "gptq" cannot tell'],
    ['gptq-act-order', { desc_act: false }, '"desc_act" is false'],
    ['awq', { version: 'gemv' }, '"version" is "gemv"'],
    ['awq', { zero_point: false }, '"zero_point" is false'],
    ['awq', { bits: 8 }, '"bits" is 8'],
    ['ct-sym', { format: 'float-quantized' }, '"format" is "float-quantized"'],
    ['ct-sym', { config_groups: {} }, '"config_groups"'],
    ['ct-sym', { kv_cache_scheme: { num_bits: 8 } }, '"kv_cache_scheme"'],
  ]
  it.each(settings)('%s with %j', async (name, changes, text) => {
    await refused(name, ({ quantization_config: config }) => Object.assign(config, changes), text)
  })

  it('families that save weights the other way round', async () => {
    const conv = join(FIXTURES, '../conformance/gpt2/model')
    const modelDir = mkdtempSync(join(root, 'conv-'))
    cpSync(conv, modelDir, { recursive: true })
    const path = join(modelDir, 'config.json')
    const config = { ...(JSON.parse(readFileSync(path, 'utf8')) as object), quantization_config: gptq(FIXTURES) }
    writeFileSync(path, JSON.stringify(config))
    await expectRefusalAsync(
      () => prepareModel({ modelDir, precision: 'auto', cacheDir }),
      'invalid_model',
      '[in, out]',
    )
  })

  function gptq(fixtures: string): unknown {
    const text = readFileSync(join(fixtures, 'gptq-sym', 'config.json'), 'utf8')
    return (JSON.parse(text) as Config).quantization_config
  }
})
