import { describe, expect, it } from 'vitest'
import { transposeInto } from '../../src/core/transpose.ts'

describe('transposeInto', () => {
  it.each([
    [1, 1],
    [70, 3],
    [5, 4],
    [33, 37],
    [64, 16],
  ])('[%i, %i] beside what is there', (rows, cols) => {
    const source = Float32Array.from({ length: rows * cols }, (_, i) => i + 1)
    const [stride, column] = [rows + 5, 2]
    const target = new Float32Array(cols * stride).fill(-1)
    transposeInto(source, rows, cols, target, stride, column)
    const expected = Array.from({ length: cols * stride }, (_, i) => {
      const row = (i % stride) - column
      return row >= 0 && row < rows ? row * cols + Math.floor(i / stride) + 1 : -1
    })
    expect([...target]).toEqual(expected)
  })
})
