import { describe, expect, it } from 'vitest'
import { hadamardInPlace, hadamardMatrix, hadamardSize } from '../../src/model/hadamard.ts'
import { noise } from '../support/tiny-checkpoint.ts'

describe('the matrix of inputs', () => {
  it.each([
    [896, 64],
    [4864, 64],
    [96, 32],
    [40, 8],
    [7, 1],
  ])('of %i is one of groups of %i', (inDim, size) => {
    expect(hadamardSize(inDim)).toBe(size)
  })

  it('is orthogonal, symmetric and of entries of one size', () => {
    const matrix = hadamardMatrix(16)
    for (let row = 0; row < 16; row++)
      for (let column = 0; column < 16; column++) {
        let product = 0
        for (let i = 0; i < 16; i++) product += matrix[row * 16 + i]! * matrix[column * 16 + i]!
        expect(product).toBeCloseTo(row === column ? 1 : 0, 6)
        expect(matrix[row * 16 + column]).toBe(matrix[column * 16 + row])
        expect(Math.abs(matrix[row * 16 + column]!)).toBe(0.25)
      }
  })

  it('by sums and differences is the product with the matrix', () => {
    const size = 32
    const values = noise(3, 4 * size)
    const matrix = hadamardMatrix(size)
    const turned = values.slice()
    hadamardInPlace(turned, size)
    for (let at = 0; at < values.length; at++) {
      const start = at - (at % size)
      let expected = 0
      for (let i = 0; i < size; i++) expected += values[start + i]! * matrix[i * size + (at % size)]!
      expect(turned[at]).toBeCloseTo(expected, 5)
    }
    hadamardInPlace(turned, size)
    turned.forEach((value, i) => expect(value).toBeCloseTo(values[i]!, 5))
  })

  it('spreads an outlier over its group', () => {
    const values = new Float32Array(64)
    values[5] = 8
    hadamardInPlace(values, 64)
    for (const value of values) expect(Math.abs(value)).toBeCloseTo(1, 6)
  })
})
