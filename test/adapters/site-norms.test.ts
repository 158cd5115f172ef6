import { expect, it } from 'vitest'
import { siteNorms } from '../../src/adapters/site-norms.ts'
import type { Branch } from '../../src/core/branch.ts'
import { noise } from '../support/tiny-checkpoint.ts'

/** The norm of the product written out. */
function direct({ rank, scale, down, up }: Branch): number {
  const [inDim, outDim] = [down.length / rank, up.length / rank]
  let square = 0
  for (let o = 0; o < outDim; o++)
    for (let i = 0; i < inDim; i++) {
      let sum = 0
      for (let r = 0; r < rank; r++) sum += up[r * outDim + o]! * down[r * inDim + i]!
      square += (scale * sum) ** 2
    }
  return Math.sqrt(square)
}

it('are those of the products, added where a site has several parts', async () => {
  const branch = (layer: number, rank: number, scale: number): Branch => {
    const weights = { down: noise(layer + 1, rank * 7), up: noise(layer + 5, rank * 11) }
    return { layer, kind: 'q_proj', rank, scale, activation: 'identity', ...weights, a: null, c: null }
  }
  const branches = [branch(0, 3, 0.5), branch(1, 4, -2), { ...branch(1, 1, 1), kind: 'v_proj' as const }]
  const gains = [{ layer: 1, kind: 'v_proj' as const, side: 'out' as const, values: Float32Array.of(1, 4, -3) }]
  const norms = await siteNorms({ branches, gains })
  expect(norms.map(({ site }) => site)).toEqual(['layers.0.q_proj', 'layers.1.q_proj', 'layers.1.v_proj'])
  expect(norms[0]!.norm).toBeCloseTo(direct(branches[0]!), 4)
  expect(norms[1]!.norm).toBeCloseTo(direct(branches[1]!), 4)
  expect(norms[2]!.norm).toBeCloseTo(direct(branches[2]!) + 5, 4)
})
