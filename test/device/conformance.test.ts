import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readAdapter } from '../../src/adapters/read.ts'
import type { VirtualTokens } from '../../src/core/branch.ts'
import type { CpuDevice } from '../../src/device/cpu/device.ts'
import { openCpuDevice } from '../../src/device/cpu/device.ts'
import { CheckpointWeights } from '../../src/model/base-weights.ts'
import type { Sample } from '../support/conformance.ts'
import { TOLERANCE, readReference, samplesOf } from '../support/conformance.ts'
import type { PreparedDeviceModel } from '../support/device-model.ts'
import { deviceModel } from '../support/device-model.ts'
import { DrivenSequence, StepDriver } from '../support/step-driver.ts'

const FIXTURES = join(import.meta.dirname, '../fixtures/conformance')
/** As in test/conformance: what the libraries do and Troupe declines. */
const DECLINED = /residual-twice|lora-embed-saved|lora-head-saved|dora@|^average\(/
/** Families whose layers have no place for modules in the residual stream. */
const UNPLACED = /^gemma[23]$/

describe.each(readdirSync(FIXTURES))('%s', (folder) => {
  const { model: dir, cases, adapters } = readReference(join(FIXTURES, folder))
  const served = cases.filter(({ name }) => !DECLINED.test(name) && !(UNPLACED.test(folder) && name.includes('bn')))
  const samples = samplesOf(served)
  const loaded = new Map<string, { id: number; virtualTokens: VirtualTokens | null }>()
  let model: PreparedDeviceModel
  let device: CpuDevice
  let driver: StepDriver

  beforeAll(async () => {
    model = await deviceModel(dir)
    device = openCpuDevice(model, {
      threads: 2,
      kvFormat: 'f32',
      kvPages: 1009,
      adapterFormat: 'f32',
      spinning: false,
    })
    driver = new StepDriver(device, model.architecture)
    const base = new CheckpointWeights(dir)
    const used = new Set(samples.flatMap(({ mix }) => mix.map(({ adapter }) => adapter)))
    for (const [name, path] of adapters) {
      if (!used.has(name)) continue
      const { weights } = readAdapter(path, model.info, base)
      loaded.set(name, { id: (await device.loadAdapter(weights)).id, virtualTokens: weights.virtualTokens })
    }
    base.close()
  })
  afterAll(async () => {
    await device.close()
    model.remove()
  })

  function sequenceOf({ mix, composition }: Sample, tokens: readonly number[]): DrivenSequence {
    const members = mix.map(({ adapter, scale }) => ({ id: loaded.get(adapter)!.id, scale }))
    const virtualOf = mix.findIndex(({ adapter }) => loaded.get(adapter)!.virtualTokens !== null)
    const virtualTokens = virtualOf < 0 ? null : loaded.get(mix[virtualOf]!.adapter)!.virtualTokens
    return new DrivenSequence(tokens, { members, stacked: composition === 'stack', virtualTokens, virtualOf })
  }

  /** Logits of the tokens that were given, not of virtual ones. */
  function ownRows(sequence: DrivenSequence, rows: readonly Float32Array[]): readonly Float32Array[] {
    return rows.slice(sequence.virtual - sequence.prefix)
  }

  function check({ prompt }: Sample, rows: readonly Float32Array[]): void {
    const next = [...prompt.tokens.slice(1), ...prompt.greedy]
    const expected = [...prompt.prompt_logprobs.slice(1), ...prompt.greedy_logprobs]
    const found = rows.map((row, i) => row[next[i]!]! - device.tools.logSumExp(row))
    const differences = expected.map((value, i) => Math.abs(value! - found[i]!))
    expect(Math.max(...differences)).toBeLessThan(TOLERANCE)
    const greedy = rows.slice(prompt.tokens.length - 1).map((row) => device.tools.argmax(row, null))
    expect(greedy).toEqual(prompt.greedy)
  }

  it.each(samples)('$name', (sample) => {
    const { tokens, greedy } = sample.prompt
    const sequence = sequenceOf(sample, tokens)
    const rows = [...ownRows(sequence, driver.finish(sequence))]
    for (const token of greedy.slice(0, -1)) {
      sequence.tokens.push(token)
      rows.push(driver.finish(sequence).at(-1)!)
    }
    driver.release(sequence)
    check(sample, rows)
  })

  it('gives every sample the same bits in ragged steps with all others', () => {
    const wholeOf = (sample: Sample): DrivenSequence =>
      sequenceOf(sample, [...sample.prompt.tokens, ...sample.prompt.greedy])
    const alone = samples.map((sample) => {
      const sequence = wholeOf(sample)
      const rows = driver.finish(sequence)
      driver.release(sequence)
      return rows
    })
    const together = samples.map(wholeOf)
    const { longRope } = model.architecture
    for (const sequence of together)
      sequence.ropeTable = longRope !== null && sequence.prefix + sequence.tokens.length > longRope.length ? 1 : 0
    const rows = together.map((): Float32Array[] => [])
    for (let turn = 0; together.some(({ left }) => left > 0); turn++) {
      const parts = together
        .map((sequence, i) => ({ sequence, i, count: Math.min(sequence.left, ((turn * 5 + i * 3) % 11) + 1) }))
        .filter(({ count }, i) => count > 0 && (turn + i) % 3 !== 0)
      if (parts.length === 0) continue
      for (const [j, part] of driver.step(parts).entries()) rows[parts[j]!.i]!.push(...part)
    }
    for (const sequence of together) driver.release(sequence)
    expect(driver.freePages).toBe(device.kvPages)
    for (const [i, sample] of samples.entries()) expect(sameBits(rows[i]!, alone[i]!), sample.name).toBe(true)
  })
})

function sameBits(a: readonly Float32Array[], b: readonly Float32Array[]): boolean {
  const bytes = (rows: readonly Float32Array[]): Buffer => Buffer.concat(rows.map((row) => Buffer.from(row.buffer)))
  return bytes(a).equals(bytes(b))
}
