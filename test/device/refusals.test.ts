import { copyFileSync, mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { AdapterWeights, Branch } from '../../src/core/branch.ts'
import type { CpuDevice, CpuOptions } from '../../src/device/cpu/device.ts'
import { openCpuDevice } from '../../src/device/cpu/device.ts'
import type { StepInput } from '../../src/device/port.ts'
import { loadAddon } from '../../src/native/addon.ts'
import type { PreparedDeviceModel } from '../support/device-model.ts'
import { deviceModel } from '../support/device-model.ts'

const LLAMA = join(import.meta.dirname, '../fixtures/conformance/llama/model')
const OPTIONS: CpuOptions = { threads: 1, kvFormat: 'f32', kvPages: 8, adapterFormat: 'f32', spinning: false }
/** Tokens of the prompt and the page it lies in. */
const STEP: StepInput = {
  tokens: Int32Array.of(1, 2, 3),
  sequences: Int32Array.of(0, 3, 0, 0, 0, -1, 0, 1),
  pages: Int32Array.of(5),
  mixStart: Int32Array.of(0),
  mixAdapters: new Int32Array(0),
  mixScales: new Float32Array(0),
  mixStacked: new Uint8Array(0),
  logitRows: Int32Array.of(2),
}

let model: PreparedDeviceModel
let device: CpuDevice
let logits: Float32Array
let folder: string

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'troupe-refusals-'))
  model = await deviceModel(LLAMA)
  device = openCpuDevice(model, OPTIONS)
  logits = new Float32Array(3 * device.logitWidth)
})
afterAll(async () => {
  await device.close()
  model.remove()
  rmSync(folder, { recursive: true, force: true })
})

function codeOf(call: () => unknown): string {
  try {
    call()
  } catch (error) {
    expect(error).toMatchObject({ name: 'DeviceError' })
    return (error as { code: string }).code
  }
  throw new Error('it was not refused')
}

/** One mix of one adapter for the sequence of `STEP`. */
function mixed(id: number): StepInput {
  const sequences = Int32Array.from(STEP.sequences)
  sequences[5] = 0
  const mix = { mixStart: Int32Array.of(0, 1), mixAdapters: Int32Array.of(id), mixScales: Float32Array.of(1) }
  return { ...STEP, sequences, ...mix, mixStacked: Uint8Array.of(0) }
}

function branch(changes: Partial<Branch> = {}): Branch {
  const { hidden } = model.architecture
  const shared = new Float32Array(new SharedArrayBuffer(8 * hidden)).fill(0.01)
  const values = { down: shared.subarray(0, hidden), up: shared.subarray(hidden), a: null, c: null }
  return { layer: 0, kind: 'o_proj', rank: 1, scale: 1, activation: 'identity', ...values, ...changes }
}

function adapter(...branches: Branch[]): AdapterWeights {
  return { digest: 'sha256:0', method: 'lora', branches, gains: [], virtualTokens: null, tokenRows: null, bytes: 0 }
}

describe('a step', () => {
  const span = (place: number, value: number): Partial<StepInput> => ({
    sequences: STEP.sequences.map((old, i) => (i === place ? value : old)),
  })
  const twice = [...STEP.sequences, 3, 1, 0, 0, 0, -1, 0, 1]

  it.each<[string, string, Partial<StepInput>]>([
    ['without tokens', 'bad_step', { tokens: new Int32Array(0) }],
    ['without sequences', 'bad_step', { sequences: new Int32Array(0) }],
    ['with half a sequence', 'bad_step', { sequences: STEP.sequences.slice(0, 4) }],
    ['whose sequence begins elsewhere', 'bad_step', span(0, 1)],
    ['whose sequence begins before the tokens', 'bad_step', span(0, -1)],
    ['of a sequence without tokens', 'bad_step', span(1, 0)],
    ['of fewer tokens than there are', 'bad_step', span(1, 2)],
    ['of more tokens than there are', 'bad_step', span(1, 4)],
    ['of a huge number of tokens', 'bad_step', span(1, 2 ** 31 - 1)],
    ['that begins before its sequence', 'bad_step', span(2, -3)],
    ['that begins beyond its pages', 'bad_step', span(2, 14)],
    ['that begins beyond all numbers', 'bad_step', span(2, 2 ** 31 - 2)],
    ['with an offset before 0', 'bad_step', span(3, -1)],
    ['with an offset beyond its tokens', 'bad_step', span(3, 1)],
    ['with a rotation that the model lacks', 'bad_step', span(4, 1)],
    ['of a mix that is not there', 'bad_step', span(5, 0)],
    ['of a mix before the first', 'bad_step', span(5, -2)],
    ['with pages before the table', 'bad_step', span(6, -1)],
    ['with pages behind the table', 'bad_step', span(6, 1)],
    ['with more pages than the table', 'bad_step', span(7, 2)],
    ['without pages', 'bad_step', span(7, 0)],
    ['in a page before the first', 'bad_page', { pages: Int32Array.of(-1) }],
    ['in a page behind the last', 'bad_page', { pages: Int32Array.of(8) }],
    [
      'that writes one page for two sequences',
      'bad_page',
      { tokens: Int32Array.of(1, 2, 3, 4), sequences: Int32Array.from(twice) },
    ],
    ['of a token behind the vocabulary', 'bad_token', { tokens: Int32Array.of(1, 2, 1_000_000) }],
    ['of a virtual token without an adapter', 'bad_token', { tokens: Int32Array.of(1, -1, 2) }],
    ['of the lowest token', 'bad_token', { tokens: Int32Array.of(1, -(2 ** 31), 2) }],
    ['with logits of a row that is not there', 'bad_step', { logitRows: Int32Array.of(3) }],
    ['with logits of a row before the first', 'bad_step', { logitRows: Int32Array.of(-1) }],
    ['with logits in another order', 'bad_step', { logitRows: Int32Array.of(2, 1) }],
    ['with logits of one row twice', 'bad_step', { logitRows: Int32Array.of(1, 1) }],
    ['with more logits than there is room', 'bad_step', { logitRows: Int32Array.of(0, 1, 2, 2) }],
    ['of no mixes at all', 'bad_step', { mixStart: new Int32Array(0) }],
    ['whose mixes do not begin at 0', 'bad_step', { mixStart: Int32Array.of(1) }],
    ['with a scale that belongs to nobody', 'bad_step', { mixScales: Float32Array.of(1) }],
    [
      'whose mixes end before they begin',
      'bad_step',
      { mixStart: Int32Array.of(0, 1, 0), mixStacked: Uint8Array.of(0, 0) },
    ],
    ['of an adapter that never was', 'bad_adapter', mixedLater(77)],
  ])('%s is refused as %s', (_, code, changes) => {
    expect(codeOf(() => device.step({ ...STEP, ...changes }, logits))).toBe(code)
  })

  it('of other arrays than it takes is refused', () => {
    const tokens = Float32Array.of(1, 2, 3) as unknown as Int32Array
    expect(codeOf(() => device.step({ ...STEP, tokens }, logits))).toBe('bad_argument')
    expect(codeOf(() => device.step({ ...STEP, pages: [5] as unknown as Int32Array }, logits))).toBe('bad_argument')
  })

  it('after refused ones gives what it gave before', () => {
    const before = new Float32Array(device.logitWidth)
    const after = new Float32Array(device.logitWidth)
    device.step(STEP, before)
    expect(codeOf(() => device.step({ ...STEP, tokens: Int32Array.of(9, 9, -9) }, after))).toBe('bad_token')
    device.step(STEP, after)
    expect(after).toEqual(before)
  })

  /** `mixed` of an adapter that need not exist. */
  function mixedLater(id: number): Partial<StepInput> {
    return mixed(id)
  }
})

describe('an adapter', () => {
  it('is not known any more once it was dropped', async () => {
    const { id, bytes } = await device.loadAdapter(adapter(branch()))
    expect(device.statistics().adapterBytes).toBe(bytes)
    device.step(mixed(id), logits)
    device.dropAdapter(id)
    expect(device.statistics().adapterBytes).toBe(0)
    expect(codeOf(() => device.step(mixed(id), logits))).toBe('bad_adapter')
    expect(codeOf(() => device.dropAdapter(id))).toBe('bad_adapter')
    expect((await device.loadAdapter(adapter(branch()))).id).not.toBe(id)
  })

  it.each<[string, () => AdapterWeights]>([
    ['a down of another width', () => adapter(branch({ down: new Float32Array(3) }))],
    ['an up of another width', () => adapter(branch({ up: new Float32Array(3) }))],
    ['a bias of another width', () => adapter(branch({ c: new Float32Array(3) }))],
    ['no rank', () => adapter(branch({ rank: 0 }))],
    ['a layer that is not there', () => adapter(branch({ layer: 99 }))],
    ['a layer before the first', () => adapter(branch({ layer: -1 }))],
    ['two branches at one site', () => adapter(branch(), branch())],
    ['a site that is not there', () => adapter(branch({ kind: 'nowhere' as 'o_proj' }))],
    ['a non-linearity that is not there', () => adapter(branch({ activation: 'odd' as 'relu' }))],
    [
      'virtual tokens of another width',
      () => ({ ...adapter(), virtualTokens: { type: 'embeddings', count: 2, values: new Float32Array(5) } }),
    ],
    [
      'keys and values of too few layers',
      () => ({ ...adapter(), virtualTokens: { type: 'keys_values', count: 2, layers: [], usePositions: true } }),
    ],
  ])('with %s is refused', async (_, weights) => {
    await expect(device.loadAdapter(weights())).rejects.toMatchObject({ code: 'bad_adapter_weights' })
  })

  it('without keys and values of its own writes no pages', async () => {
    const { id } = await device.loadAdapter(adapter(branch()))
    expect(codeOf(() => device.writePrefix(id, Int32Array.of(0)))).toBe('bad_adapter')
    device.dropAdapter(id)
  })
})

it('pages that do not exist are not copied', () => {
  for (const [from, to] of [
    [-1, 0],
    [0, 8],
    [2 ** 31 - 1, 0],
  ] as const)
    expect(codeOf(() => device.copyPage(from, to))).toBe('bad_page')
  expect(codeOf(() => device.copyPage(0.5, 1))).toBe('bad_argument')
})

it('a closed device refuses everything, and waits for loads before it closes', async () => {
  const own = openCpuDevice(model, OPTIONS)
  const load = own.loadAdapter(adapter(branch()))
  await own.close()
  await expect(load).resolves.toHaveProperty('id')
  expect(codeOf(() => own.step(STEP, logits))).toBe('closed')
  expect(codeOf(() => own.statistics())).toBe('closed')
  await expect(own.loadAdapter(adapter(branch()))).rejects.toMatchObject({ code: 'closed' })
  await own.close()
})

describe('opening', () => {
  const open = (changes: Partial<PreparedDeviceModel>, options: Partial<CpuOptions> = {}): string =>
    codeOf(() => openCpuDevice({ ...model, ...changes }, { ...OPTIONS, ...options }))

  it('needs the weights, whole and of the architecture', () => {
    expect(open({ weights: join(folder, 'nothing') })).toBe('weights_unreadable')
    expect(open({ weights: folder })).toBe('weights_unreadable')
    const short = join(folder, 'short')
    copyFileSync(model.weights, short)
    truncateSync(short, 4096)
    expect(open({ weights: short })).toBe('weights_foreign')
    truncateSync(short, 0)
    expect(open({ weights: short })).toBe('weights_foreign')
    expect(open({ tensors: {} })).toBe('weights_foreign')
    expect(open({ architecture: { ...model.architecture, hidden: 2 * model.architecture.hidden } })).toBe(
      'weights_foreign',
    )
    const { 'head.w': head, ...others } = model.tensors
    expect(open({ tensors: others })).toBe('weights_foreign')
    expect(open({ tensors: { ...others, 'head.w': { ...head!, format: 'q9' } } })).toBe('weights_foreign')
    expect(open({ tensors: { ...others, 'head.w': { ...head!, offset: 2 ** 52 } } })).toBe('weights_foreign')
    expect(open({ tensors: { ...others, 'head.w': { ...head!, offset: -64 } } })).toBe('bad_argument')
  })

  it('names memory that cannot be had', () => {
    expect(open({}, { kvPages: 2 ** 31 - 1 })).toBe('out_of_memory')
    expect(open({}, { kvPages: 0 })).toBe('bad_argument')
    expect(open({}, { threads: 0 })).toBe('bad_argument')
  })
})

describe('the addon', () => {
  const write = (platform: string, content: string | Buffer): void => {
    mkdirSync(join(folder, platform), { recursive: true })
    writeFileSync(join(folder, platform, 'troupe.node'), content)
  }

  it('is not there for every platform', () => {
    expect(codeOf(() => loadAddon('sunos-sparc'))).toBe('addon_platform')
  })

  it('may be missing, damaged or foreign', () => {
    expect(codeOf(() => loadAddon('linux-arm64', folder))).toBe('addon_missing')
    write('linux-x64', 'not a library')
    expect(codeOf(() => loadAddon('linux-x64', folder))).toBe('addon_damaged')
    write('win32-x64', Buffer.from('MZ, or so it says'))
    expect(codeOf(() => loadAddon('win32-x64', folder))).toBe('addon_damaged')
  })
})
