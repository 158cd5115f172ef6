import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openSafetensors, parseSafetensors } from '../../src/safetensors/file.ts'
import { temporaryFolder } from '../support/model-folder.ts'
import { expectRefusal } from '../support/refusal.ts'
import { safetensorsBytes } from '../support/safetensors-writer.ts'

/** Bit pattern of binary16 by hand and its value. */
const HALVES: [number, number][] = [
  [0x0000, 0],
  [0x8000, -0],
  [0x3c00, 1],
  [0xc000, -2],
  [0x3555, 0.333251953125],
  [0x7bff, 65504],
  [0x0400, 2 ** -14],
  [0x0001, 2 ** -24],
  [0x83ff, -1023 * 2 ** -24],
  [0x7c00, Infinity],
  [0xfc00, -Infinity],
  [0x7e01, NaN],
]
const BRAINS: [number, number][] = [
  [0x0000, 0],
  [0x8000, -0],
  [0x3f80, 1],
  [0xc040, -3],
  [0x3eab, 0.333984375],
  [0x7f80, Infinity],
  [0x7fc0, NaN],
  [0x0001, 2 ** -133],
]

async function onDisk(bytes: Uint8Array): Promise<string> {
  const path = join(await temporaryFolder(), 'weights.safetensors')
  writeFileSync(path, bytes)
  return path
}

describe('reading values', () => {
  it.each([
    ['F16', HALVES],
    ['BF16', BRAINS],
  ])('%s to f32, every kind of number', async (dtype, pairs) => {
    const bits = Uint16Array.from(pairs, ([pattern]) => pattern)
    // An odd tensor before it makes the offset unaligned.
    const odd = { dtype: 'F32', shape: [1], values: [1] }
    const file = openSafetensors(
      await onDisk(safetensorsBytes({ odd, x: { dtype, shape: [pairs.length], bits } })),
      'invalid_model',
    )
    expect([...file.readF32('x')]).toEqual(pairs.map(([, value]) => value))
    file.close()
  })

  it('gives the same from disk and from memory, across the pieces it reads in', async () => {
    const count = 600_001
    const bits = Uint16Array.from({ length: count }, (_, i) => 0x3f80 + (i % 100))
    const bytes = safetensorsBytes({ x: { dtype: 'BF16', shape: [count], bits } })
    const file = openSafetensors(await onDisk(bytes), 'invalid_model')
    const values = file.readF32('x')
    file.close()
    const fromMemory = parseSafetensors(bytes, 'invalid_model', 'x').readF32('x')
    expect(Buffer.from(values.buffer).equals(Buffer.from(fromMemory.buffer))).toBe(true)
    expect(values[262_144]).toBe(1 + (262_144 % 100) / 128)
    expect(values[count - 1]).toBe(1 + ((count - 1) % 100) / 128)
  })

  it('fills part of a tensor into shared memory', async () => {
    const path = await onDisk(safetensorsBytes({ x: { shape: [10], values: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] } }))
    const file = openSafetensors(path, 'invalid_model')
    const shared = new Float32Array(new SharedArrayBuffer(20), 4, 3)
    file.readF32('x', shared, 4)
    file.close()
    expect([...shared]).toEqual([4, 5, 6])
    expect(() =>
      parseSafetensors(safetensorsBytes({ x: { shape: [2] } }), 'invalid_model', 'f').readF32('x', shared),
    ).toThrow(RangeError)
  })

  it('refuses dtypes that are no weights, unknown tensors and missing files by name', async () => {
    const folder = await temporaryFolder()
    const file = parseSafetensors(
      safetensorsBytes({ x: { dtype: 'I16', shape: [1], bits: new Uint16Array(1) } }),
      'invalid_model',
      'f',
    )
    expectRefusal(() => file.readF32('x'), 'invalid_model', 'tensor "x" is I16')
    expectRefusal(() => file.readF32('y'), 'invalid_model', 'no tensor "y"')
    expectRefusal(() => openSafetensors('/nowhere/model.safetensors', 'invalid_model'), 'invalid_model', '/nowhere')
    expectRefusal(() => openSafetensors(folder, 'invalid_model'), 'invalid_model', 'cannot be read')
  })
})
