import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { PRECISIONS } from '../../src/core/model-info.ts'
import { prepareModel } from '../../src/model/prepare.ts'
import { BlockReader } from '../../src/reference/block-reader.ts'
import { PreparedTensors } from '../../src/reference/prepared-tensors.ts'
import { modelDir } from '../support/fixtures.ts'
import { relativeError, rowsOf } from '../support/prepared-rows.ts'

const PACKED = join(import.meta.dirname, '../fixtures/packed')

const cacheDir = mkdtempSync(join(tmpdir(), 'troupe-blocks-'))
afterAll(() => rmSync(cacheDir, { recursive: true }))

function furthest(a: Float32Array, b: Float32Array): number {
  expect(a.length).toBe(b.length)
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0)
}

describe('blocks of a prepared model', () => {
  it.each(readdirSync(PACKED))('are the numbers that packed weights stand for: %s', async (name) => {
    const dir = join(PACKED, name)
    const packed = await prepareModel({ modelDir: dir, precision: 'auto', cacheDir })
    const plain = await prepareModel({ modelDir: dir, precision: 'f32', cacheDir })
    for (const block of ['qkv', 'o', 'gate_up', 'down'].map((role) => `layers.0.${role}`)) {
      const expected = rowsOf(plain, block).rows
      expect(expected.some((value) => value !== 0)).toBe(true)
      // Scales and minima are rounded to f16.
      expect(relativeError(rowsOf(packed, block).rows, expected), block).toBeLessThan(1e-3)
    }
  })

  it.each(['int8', 'int4'] as const)('are close to the checkpoint’s in %s', async (precision) => {
    const rounded = await prepareModel({ modelDir: modelDir('llama'), precision, cacheDir })
    const plain = await prepareModel({ modelDir: modelDir('llama'), precision: 'f32', cacheDir })
    const expected = rowsOf(plain, 'layers.0.down').rows
    const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
    const step = largest / (precision === 'int8' ? 127 : 7)
    expect(furthest(rowsOf(rounded, 'layers.0.down').rows, expected)).toBeLessThan(step)
  })

  it.each(PRECISIONS)('can be read in parts of their outputs: %s', async (precision) => {
    const prepared = await prepareModel({ modelDir: modelDir('llama'), precision, cacheDir })
    const { rows, inDim } = rowsOf(prepared, 'head')
    const outDim = rows.length / inDim
    const tensors = new PreparedTensors(prepared)
    for (const [first, count] of [
      [0, 5],
      [7, 11],
      [outDim - 3, 3],
    ] as const) {
      const some = new Float32Array(count * inDim)
      new BlockReader(tensors).rows({ block: 'head', inDim, firstTile: 0, first, count }, some)
      expect(some).toEqual(rows.slice(first * inDim, (first + count) * inDim))
    }
    tensors.close()
  })
})
