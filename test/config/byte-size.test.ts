import { expect, it } from 'vitest'
import { formatByteSize, parseByteSize } from '../../src/config/byte-size.ts'

it.each([
  ['512', 512],
  ['512MB', 512e6],
  ['2GiB', 2 ** 31],
  ['1.5 kib', 1536],
  ['3b', 3],
])('reads %s', (text, bytes) => {
  expect(parseByteSize(text)).toBe(bytes)
})

it.each(['', 'MB', '-1', '1e3', '2 GBs', '1,5GB', '99999999TiB'])('does not read "%s"', (text) => {
  expect(parseByteSize(text)).toBeNull()
})

it.each([
  [0, '0 B'],
  [1536, '1.5 KiB'],
  [2 ** 31, '2 GiB'],
  [123_456_789, '118 MiB'],
])('writes %i', (bytes, text) => {
  expect(formatByteSize(bytes)).toBe(text)
})
