import { describe, expect, it } from 'vitest'
import { parseSafetensors } from '../../src/safetensors/file.ts'
import { expectRefusal } from '../support/refusal.ts'
import { safetensorsBytes, withHeader } from '../support/safetensors-writer.ts'

const FILE = 'weights.safetensors'

function parse(bytes: Uint8Array): unknown {
  return parseSafetensors(bytes, 'invalid_adapter', FILE)
}

function entry(dtype: unknown, shape: unknown, offsets: unknown): string {
  return JSON.stringify({ x: { dtype, shape, data_offsets: offsets } })
}

describe('a well-formed header', () => {
  it('gives names, shapes, absolute offsets and metadata', () => {
    const bytes = safetensorsBytes(
      { a: { shape: [2, 3] }, b: { shape: [] }, none: { shape: [0, 4] } },
      { format: 'pt' },
    )
    const file = parseSafetensors(bytes, 'invalid_adapter', FILE)
    const dataStart = bytes.length - 28
    expect(file.metadata).toEqual({ format: 'pt' })
    expect(Object.fromEntries(file.tensors)).toEqual({
      a: { dtype: 'F32', shape: [2, 3], offset: dataStart, bytes: 24 },
      b: { dtype: 'F32', shape: [], offset: dataStart + 24, bytes: 4 },
      none: { dtype: 'F32', shape: [0, 4], offset: dataStart + 28, bytes: 0 },
    })
  })

  it('may be padded with spaces and list tensors out of order', () => {
    const header =
      '{"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]},"a":{"dtype":"I16","shape":[1],"data_offsets":[0,2]}}   '
    expect(() => parse(withHeader(header, new Uint8Array(3)))).not.toThrow()
  })
})

describe('a lying file is refused by name', () => {
  const four = new Uint8Array(4)
  const cases: Record<string, [Uint8Array, string]> = {
    'an empty file': [new Uint8Array(0), 'is empty'],
    'less than a header length': [new Uint8Array(7), '7 bytes'],
    'a header longer than the file': [withHeader('{}').subarray(0, 9), 'truncated'],
    'a header longer than the format allows': [new Uint8Array([0, 0, 0, 0, 255, 255, 0, 0, 0]), 'not a safetensors'],
    'bytes that are no UTF-8': [Buffer.concat([withHeader('').fill(2, 0, 1), Buffer.from([123, 255])]), 'UTF-8'],
    'no object': [withHeader('[]'), 'begin with "{"'],
    'broken JSON': [withHeader('{"x":'), 'not valid JSON'],
    'deep nesting': [withHeader(`{"x":${'['.repeat(1e4)}${']'.repeat(1e4)}}`), 'nested'],
    'the same tensor twice': [
      withHeader(
        '{"x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"\\u0078":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}',
      ),
      '"x" twice',
    ],
    'the same field twice': [
      withHeader('{"x":{"dtype":"U8","dtype":"F32","shape":[0],"data_offsets":[0,0]}}'),
      '"dtype" twice',
    ],
    'an unknown dtype': [withHeader(entry('F33', [1], [0, 4]), four), 'unknown dtype "F33"'],
    'an inherited name as dtype': [withHeader(entry('toString', [1], [0, 4]), four), 'unknown dtype'],
    'a negative size': [withHeader(entry('F32', [-1], [0, 4]), four), 'shape [-1]'],
    'a fractional size': [withHeader(entry('F32', [0.5], [0, 2]), new Uint8Array(2)), 'shape [0.5]'],
    'a shape that is no list': [withHeader(entry('F32', 1, [0, 4]), four), 'shape 1'],
    'offsets backwards': [withHeader(entry('F32', [1], [4, 0]), four), 'outside the file'],
    'offsets past the end': [withHeader(entry('F32', [2], [0, 8]), four), 'outside the file'],
    'a shape that does not fit its bytes': [withHeader(entry('F32', [2], [0, 4]), four), 'takes 8 bytes'],
    'a shape too large to count': [withHeader(entry('F32', [2 ** 52, 2 ** 52], [0, 4]), four), 'bytes'],
    'an unknown field': [
      withHeader('{"x":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"strides":[1]}}'),
      'unknown field "strides"',
    ],
    'bytes after the last tensor': [withHeader(entry('F32', [1], [0, 4]), new Uint8Array(5)), '1 bytes after'],
    'overlapping tensors': [
      withHeader(
        '{"x":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"y":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}',
        four,
      ),
      '"y" overlaps',
    ],
    'a gap': [withHeader(entry('U8', [2], [2, 4]), four), '"x" leaves a gap'],
    'metadata that is no text': [withHeader('{"__metadata__":{"n":1}}'), '__metadata__'],
  }
  for (const [what, [bytes, text]] of Object.entries(cases)) {
    it(what, () => {
      expectRefusal(() => parse(bytes), 'invalid_adapter', text)
      expectRefusal(() => parse(bytes), 'invalid_adapter', FILE)
    })
  }

  it('at every length a good file can be cut to', () => {
    const good = safetensorsBytes({ a: { shape: [3] }, b: { shape: [2] } })
    for (let length = 0; length < good.length; length++) {
      expectRefusal(() => parse(good.subarray(0, length)), 'invalid_adapter', FILE)
    }
  })
})
