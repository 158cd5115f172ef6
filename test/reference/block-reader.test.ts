import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import type { Precision } from '../../src/core/model-info.ts'
import { blockDims, weightForm } from '../../src/model/graph/merged-weights.ts'
import { prepareModel } from '../../src/model/prepare.ts'
import type { PreparedModel } from '../../src/model/prepared.ts'
import { hadamardInPlace, hadamardSize } from '../../src/model/hadamard.ts'
import { BlockReader } from '../../src/reference/block-reader.ts'
import { PreparedTensors } from '../../src/reference/prepared-tensors.ts'
import { modelDir } from '../support/fixtures.ts'

const PACKED = join(import.meta.dirname, '../fixtures/packed')

const cacheDir = mkdtempSync(join(tmpdir(), 'troupe-blocks-'))
afterAll(() => rmSync(cacheDir, { recursive: true }))

interface Matrix {
  /** `[outDim, inDim]` */
  readonly values: Float32Array
  readonly outDim: number
}

/** Some outputs of a block as rows, whichever way the prepared model has them. */
function rowsOf(prepared: PreparedModel, block: string, first = 0, count?: number): Matrix {
  const { manifest } = prepared
  const { hidden, vocab } = manifest.architecture
  const [inDim, outDim] = block === 'head' ? [hidden, vocab] : blockDims(manifest, block.replace(/^layers\.0\./, ''))
  const tensors = new PreparedTensors(prepared)
  const part = { block, inDim, outDim, first, count: count ?? outDim }
  const values = new BlockReader(tensors).weight(part, 'any')
  tensors.close()
  const { transposed, turned } = weightForm(manifest, block)
  if (!transposed) return { values, outDim: part.count }
  const rows = values.map((_, i) => values[(i % inDim) * part.count + Math.floor(i / inDim)]!)
  if (turned) hadamardInPlace(rows, hadamardSize(inDim))
  return { values: rows, outDim: part.count }
}

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
      const expected = rowsOf(plain, block)
      expect(expected.values.some((value) => value !== 0)).toBe(true)
      expect(furthest(rowsOf(packed, block).values, expected.values), block).toBeLessThan(1e-6)
    }
  })

  it.each(['int8', 'int4'] as const)('are close to the checkpoint’s in %s', async (precision) => {
    const rounded = await prepareModel({ modelDir: modelDir('llama'), precision, cacheDir })
    const plain = await prepareModel({ modelDir: modelDir('llama'), precision: 'f32', cacheDir })
    const expected = rowsOf(plain, 'layers.0.down').values
    const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
    const step = largest / (precision === 'int8' ? 127 : 7)
    expect(furthest(rowsOf(rounded, 'layers.0.down').values, expected)).toBeLessThan(step)
  })

  it.each<Precision>(['f32', 'int8', 'int4'])('can be read in parts of their outputs: %s', async (precision) => {
    const prepared = await prepareModel({ modelDir: modelDir('llama'), precision, cacheDir })
    const { values, outDim } = rowsOf(prepared, 'head')
    const inDim = values.length / outDim
    for (const [first, count] of [
      [0, 5],
      [7, 11],
      [outDim - 3, 3],
    ] as const)
      expect(rowsOf(prepared, 'head', first, count).values).toEqual(
        values.slice(first * inDim, (first + count) * inDim),
      )
  })
})
