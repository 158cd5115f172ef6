import { cpSync, readFileSync, readdirSync, rmSync, writeFileSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import type { Precision } from '../../src/core/model-info.ts'
import { prepareModel } from '../../src/model/prepare.ts'
import type { PreparedModel } from '../../src/model/prepared.ts'
import { checkBlocks, promptLogprobs } from '../support/packed-model.ts'
import type { PackedMatrices } from '../support/packed-model.ts'
import { expectRefusalAsync } from '../support/refusal.ts'

/** Folders packed by test/fixtures/generate/packed_weights.py, and the matrices that were packed. */
const FIXTURES = join(import.meta.dirname, '../fixtures/packed')
const CASES = readdirSync(FIXTURES)

const root = mkdtempSync(join(tmpdir(), 'troupe-packed-'))
const cacheDir = join(root, 'cache')
afterAll(() => rmSync(root, { recursive: true }))

function prepare(name: string, precision: Precision | 'auto' = 'auto'): Promise<PreparedModel> {
  return prepareModel({ modelDir: join(FIXTURES, name), precision, cacheDir })
}

const TOKENS = Array.from({ length: 16 }, (_, i) => (i * 7) % 32)

describe.each(CASES)('%s', (name) => {
  const expected = JSON.parse(readFileSync(join(FIXTURES, name, 'expected.json'), 'utf8')) as PackedMatrices

  it('keeps its blocks by itself, and has their values in f32', async () => {
    const prepared = await prepare(name)
    expect(prepared.manifest.info.precision).toBe(name.includes('8') ? 'int8' : 'int4')
    checkBlocks(await prepare(name, 'f32'), prepared, expected)
    if (!('lm_head' in expected)) expect(prepared.manifest.tensors['head.w']!.format).toBe('q8')
  })

  it('answers from its blocks as from its values, but for the rounding of activations', async () => {
    const kept = await promptLogprobs(await prepare(name), TOKENS)
    const plain = await promptLogprobs(await prepare(name, 'f32'), TOKENS)
    expect(kept).toHaveLength(plain.length)
    kept.forEach((value, i) => expect(Math.abs(value - plain[i]!)).toBeLessThan(0.12))
  })
})

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
