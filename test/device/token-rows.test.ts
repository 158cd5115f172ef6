import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { DeviceAdapter } from '../../src/device/cpu/adapter.ts'
import type { CpuDevice } from '../../src/device/cpu/device.ts'
import { openCpuDevice } from '../../src/device/cpu/device.ts'
import type { PreparedDeviceModel } from '../support/device-model.ts'
import { deviceModel } from '../support/device-model.ts'
import { DrivenSequence, StepDriver } from '../support/step-driver.ts'

const LLAMA = join(import.meta.dirname, '../fixtures/conformance/llama/model')
const PROMPT = [3, 1, 4, 1, 5]

/** Rows of embedding and head that are an adapter's own, given copies of other tokens' rows, so that what they must do is known. */
describe('token rows', () => {
  let model: PreparedDeviceModel
  let device: CpuDevice
  let driver: StepDriver
  let vocab: number

  beforeAll(async () => {
    model = await deviceModel(LLAMA)
    vocab = model.architecture.vocab
    device = openCpuDevice(model, {
      threads: 1,
      kvFormat: 'f32',
      kvPages: 20,
      adapterFormat: 'f32',
      spinning: false,
    })
    driver = new StepDriver(device, model.architecture)
  })
  afterAll(async () => {
    await device.close()
    model.remove()
  })

  /** Rows `ids` of embedding or head, as they were prepared. */
  function baseRows(name: 'embed' | 'head.w', ids: readonly number[]): Float32Array {
    const { hidden } = model.architecture
    const tiled = !(name in model.tensors) || name === 'head.w'
    const { offset, bytes } = model.tensors[tiled ? 'head.w' : name]!
    const file = readFileSync(model.weights)
    const values = new Float32Array(file.buffer.slice(file.byteOffset + offset, file.byteOffset + offset + bytes))
    const at = (id: number, k: number): number =>
      tiled ? (Math.floor(id / 16) * hidden + k) * 16 + (id % 16) : id * hidden + k
    return Float32Array.from(
      { length: ids.length * hidden },
      (_, i) => values[at(ids[Math.floor(i / hidden)]!, i % hidden)]!,
    )
  }

  function adapter(tokenRows: DeviceAdapter['tokenRows']): DeviceAdapter {
    const nothing = { branches: [], gains: [], virtualTokens: null, bytes: 0 }
    return { digest: 'sha256:0', method: 'lora', ...nothing, tokenRows }
  }

  function last(tokens: readonly number[], ids: readonly number[]): Float32Array {
    const sequence = new DrivenSequence(tokens, { members: ids.map((id) => ({ id, scale: 1 })) })
    const row = driver.finish(sequence).at(-1)!
    driver.release(sequence)
    return row
  }

  it('stand in for the base model’s, in the rows of their mix only', async () => {
    const base = last(PROMPT, [])
    const ids = Int32Array.of(4, vocab, vocab + 1)
    const rows = { ids, embed: baseRows('embed', [9, 5, 6]), head: baseRows('head.w', [20, 30, 40]) }
    const { id } = await device.loadAdapter(adapter(rows))
    expect(device.logitWidth).toBe(vocab + 2)

    const changed = last(
      PROMPT.map((token) => (token === 4 ? 9 : token)),
      [],
    )
    const own = last(PROMPT, [id])
    for (const [token, like] of [
      [4, 20],
      [vocab, 30],
      [vocab + 1, 40],
    ] as const)
      expect(own[token]).toBeCloseTo(changed[like]!, 4)
    const untouched = (row: Float32Array): Float32Array => row.slice(0, vocab).with(4, 0)
    expect(untouched(own)).toEqual(untouched(changed))
    // A new token is looked up in the adapter's rows.
    expect(last([3, vocab], [id])).toEqual(last([3, 5], [id]))

    const beside = last(PROMPT, [])
    expect(beside.slice(0, vocab)).toEqual(base)
    expect([...beside.slice(vocab)]).toEqual([-Infinity, -Infinity])
    expect(() => last([vocab], [])).toThrow(expect.objectContaining({ code: 'bad_token' }))
    expect(() => last([vocab + 2], [id])).toThrow(expect.objectContaining({ code: 'bad_token' }))
    device.dropAdapter(id)
    expect(device.logitWidth).toBe(vocab)
  })

  it('of the head alone, of the embedding alone, and of several members: the first has its way', async () => {
    const load = async (rows: DeviceAdapter['tokenRows']): Promise<number> =>
      (await device.loadAdapter(adapter(rows))).id
    const ids = Int32Array.of(7)
    const head = await load({ ids, embed: null, head: baseRows('head.w', [8]) })
    const other = await load({ ids, embed: null, head: baseRows('head.w', [9]) })
    const embed = await load({ ids: Int32Array.of(4), embed: baseRows('embed', [9]), head: null })
    const base = last(PROMPT, [])
    expect(last(PROMPT, [head])[7]).toBeCloseTo(base[8]!, 4)
    expect(last(PROMPT, [other, head])[7]).toBeCloseTo(base[9]!, 4)
    expect(last(PROMPT, [embed])).toEqual(
      last(
        PROMPT.map((token) => (token === 4 ? 9 : token)),
        [],
      ),
    )
    const added = await load({ ids: Int32Array.of(vocab), embed: baseRows('embed', [9]), head: null })
    expect(last(PROMPT, [added]).at(-1)).toBe(-Infinity)
    for (const id of [head, other, embed, added]) device.dropAdapter(id)
  })

  it('that contradict themselves are refused', async () => {
    const embed = baseRows('embed', [1, 2])
    for (const rows of [
      { ids: Int32Array.of(5, 5), embed, head: null },
      { ids: Int32Array.of(-1, 5), embed, head: null },
      { ids: Int32Array.of(5), embed, head: null },
      { ids: Int32Array.of(5, 6), embed: null, head: embed.subarray(1) },
    ])
      await expect(device.loadAdapter(adapter(rows))).rejects.toMatchObject({ code: 'bad_adapter_weights' })
  })
})
