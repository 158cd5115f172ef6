import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Worker } from 'node:worker_threads'
import { describe, expect, it } from 'vitest'
import { readAdapter } from '../../src/adapters/read.ts'
import type { KvFormat, Precision } from '../../src/core/model-info.ts'
import { KV_FORMATS } from '../../src/core/model-info.ts'
import type { CpuDevice, CpuOptions } from '../../src/device/cpu/device.ts'
import { openCpuDevice } from '../../src/device/cpu/device.ts'
import { CheckpointWeights } from '../../src/model/base-weights.ts'
import { deviceModel } from '../support/device-model.ts'
import type { DrivenMix } from '../support/step-driver.ts'
import { DrivenSequence, StepDriver } from '../support/step-driver.ts'

const FIXTURES = join(import.meta.dirname, '../fixtures/conformance')
const THREAD = pathToFileURL(join(import.meta.dirname, '../support/device-thread.ts')).href
/** Threads have no loader for TypeScript of their own. */
const START = `import('tsx/esm/api').then(({ tsImport }) => tsImport(${JSON.stringify(THREAD)}, ${JSON.stringify(import.meta.url)}))`
const OPTIONS: CpuOptions = { threads: 2, kvFormat: 'f32', kvPages: 200, adapterFormat: 'bf16', spinning: false }

/** Devices of one family, with its adapters loaded, and mixes of them. */
async function withDevice(
  family: string,
  precision: Precision,
  options: Partial<CpuOptions>,
  body: (driver: StepDriver, mixes: readonly DrivenMix[], device: CpuDevice) => Promise<void> | void,
): Promise<void> {
  const dir = join(FIXTURES, family, 'model')
  const model = await deviceModel(dir, precision)
  const device = openCpuDevice(model, { ...OPTIONS, ...options })
  const base = new CheckpointWeights(dir)
  try {
    const ids: number[] = []
    for (const name of ['lora-r4', 'lora-r16', 'bn-seq', 'bn-par', 'bn-double']) {
      const { weights } = readAdapter(join(FIXTURES, 'llama/adapters', name), model.info, base)
      ids.push((await device.loadAdapter(weights)).id)
    }
    const mix = (members: readonly (readonly [number, number])[], stacked = false): DrivenMix => ({
      members: members.map(([index, scale]) => ({ id: ids[index]!, scale })),
      stacked,
    })
    const mixes = [
      mix([]),
      mix([[0, 1]]),
      mix([[1, 0.5]]),
      mix([
        [1, 1],
        [0, -0.3],
      ]),
      mix([
        [0, 0.7],
        [1, 0.2],
        [2, 1],
      ]),
      mix(
        [
          [2, 1],
          [3, 1],
          [4, 0.5],
        ],
        true,
      ),
      mix([
        [4, 1],
        [2, 2],
      ]),
      mix([]),
    ]
    await body(new StepDriver(device, model.architecture), mixes, device)
  } finally {
    base.close()
    await device.close()
    model.remove()
  }
}

const promptOf = (i: number): number[] => Array.from({ length: 5 + 9 * i }, (_, t) => (i * 37 + t * t * 11 + 3) % 64)
const bits = (rows: readonly Float32Array[]): string =>
  Buffer.concat(rows.map(({ buffer }) => Buffer.from(buffer))).toString('base64')

describe('a row has the same bits alone, in chunks and among others', () => {
  const cases = [
    ...(['f32', 'bf16', 'int8', 'int4'] as const).map((precision): [Precision, KvFormat, number] => [
      precision,
      'f32',
      2,
    ]),
    ...KV_FORMATS.map((format): [Precision, KvFormat, number] => ['f32', format, 1]),
    ['int4', 'int8', 3] as [Precision, KvFormat, number],
    // More threads than heads of keys: their rows are shared out.
    ['f32', 'f32', 8] as [Precision, KvFormat, number],
  ]

  it.each(cases)('%s, keys and values in %s, %s threads', async (precision, kvFormat, threads) => {
    await withDevice('llama', precision, { kvFormat, threads }, (driver, mixes) => {
      const whole = mixes.map((mix, i) => {
        const sequence = new DrivenSequence(promptOf(i), mix)
        const rows = driver.finish(sequence)
        driver.release(sequence)
        return rows
      })
      for (const chunk of [1, 7, 16]) {
        const sequence = new DrivenSequence(promptOf(4), mixes[4])
        expect(bits(driver.finish(sequence, chunk)) === bits(whole[4]!), `chunks of ${chunk}`).toBe(true)
        driver.release(sequence)
      }
      const sequences = mixes.map((mix, i) => new DrivenSequence(promptOf(i), mix))
      const rows = sequences.map((): Float32Array[] => [])
      for (let turn = 0; sequences.some(({ left }) => left > 0); turn++) {
        const parts = sequences.flatMap((sequence, i) => {
          const count = Math.min(sequence.left, ((turn * 7 + i * 5) % 13) + 1)
          return count > 0 && (turn + i) % 4 !== 0 ? [{ sequence, count, i }] : []
        })
        if (parts.length === 0) continue
        for (const [j, part] of driver.step(parts).entries()) rows[parts[j]!.i]!.push(...part)
      }
      for (const [i, sequence] of sequences.entries()) {
        expect(bits(rows[i]!) === bits(whole[i]!), `sequence ${i}`).toBe(true)
        driver.release(sequence)
      }
    })
  })
})

it('a copied page continues as its original does', async () => {
  await withDevice('llama', 'f32', {}, (driver, mixes, device) => {
    const original = new DrivenSequence(promptOf(2), mixes[1])
    driver.finish(original)
    const fork = new DrivenSequence(promptOf(2), mixes[1])
    fork.evaluated = original.evaluated
    // The full page is shared, the last one copied.
    const last = 150
    device.copyPage(original.pages.at(-1)!, last)
    fork.pages = [...original.pages.slice(0, -1), last]
    original.tokens.push(5, 6)
    fork.tokens.push(5, 7)
    const first = driver.finish(original, 1)
    const second = driver.finish(fork, 1)
    expect(bits(second.slice(0, 1))).toBe(bits(first.slice(0, 1)))
    const alone = new DrivenSequence([...promptOf(2), 5, 7], mixes[1])
    expect(bits(second)).toBe(bits(driver.finish(alone).slice(-2)))
  })
})

it('keys and values in fewer bits stay near those in f32', async () => {
  const logits = new Map<KvFormat, Float32Array>()
  for (const kvFormat of KV_FORMATS)
    await withDevice('llama', 'f32', { kvFormat }, (driver) => {
      logits.set(kvFormat, driver.finish(new DrivenSequence(promptOf(6))).at(-1)!)
    })
  const distance = (format: KvFormat): number =>
    Math.max(...logits.get(format)!.map((value, i) => Math.abs(value - logits.get('f32')![i]!)))
  const spread = Math.max(...logits.get('f32')!) - Math.min(...logits.get('f32')!)
  expect(distance('bf16')).toBeGreaterThan(0)
  expect(distance('bf16')).toBeLessThan(0.01 * spread)
  expect(distance('int8')).toBeLessThan(0.03 * spread)
})

it('nothing grows while adapters come and go and devices open and close', async () => {
  await withDevice('llama', 'f32', {}, async (driver, _, device) => {
    const before = device.statistics()
    const values = new Float32Array(new SharedArrayBuffer(4 * 64 * 15_000)).fill(0.5)
    // The model has 64 channels.
    const virtual = values.length / 64
    const weights = {
      ...({
        digest: 'sha256:0',
        method: 'prompt_tuning',
        branches: [],
        gains: [],
        tokenRows: null,
        bytes: values.byteLength,
      } as const),
      virtualTokens: {
        type: 'embeddings',
        count: virtual,
        values: values.subarray(0, virtual * 64),
      } as const,
    }
    const churn = async (rounds: number): Promise<number> => {
      for (let i = 0; i < rounds; i++) device.dropAdapter((await device.loadAdapter(weights)).id)
      return process.memoryUsage.rss()
    }
    const warm = await churn(5)
    expect((await churn(60)) - warm).toBeLessThan(40e6)
    expect(device.statistics().adapterBytes).toBe(before.adapterBytes)
    expect(driver.freePages).toBe(200)
  })
  const open = async (): Promise<number> => {
    await withDevice('llama', 'f32', { kvPages: 1000 }, (driver) => void driver.finish(new DrivenSequence(promptOf(1))))
    return process.memoryUsage.rss()
  }
  await open()
  const warm = await open()
  for (let i = 0; i < 4; i++) await open()
  expect((await open()) - warm).toBeLessThan(60e6)
})

it('threads of one process have devices of their own', async () => {
  const model = await deviceModel(join(FIXTURES, 'llama/model'))
  const run = (workers: number): Promise<string[]> =>
    Promise.all(
      Array.from(
        { length: workers },
        () =>
          new Promise<string>((resolve, reject) => {
            const { architecture, weights, tensors } = model
            const worker = new Worker(START, {
              eval: true,
              workerData: { model: { architecture, weights, tensors }, options: OPTIONS, tokens: promptOf(3) },
            })
            worker.once('message', resolve)
            worker.once('error', reject)
          }),
      ),
    )
  const device = openCpuDevice(model, OPTIONS)
  const here = bits(new StepDriver(device, model.architecture).finish(new DrivenSequence(promptOf(3))))
  expect(await run(3)).toEqual([here, here, here])
  await device.close()
  model.remove()
})
