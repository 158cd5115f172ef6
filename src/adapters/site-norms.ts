import { setImmediate as nextTurn } from 'node:timers/promises'
import type { AdapterWeights } from '../core/branch.ts'
import { siteName } from '../core/branch.ts'

/** How strongly an adapter acts at one site. */
export interface SiteNorm {
  readonly site: string
  readonly norm: number
}

/**
 * The Frobenius norm of what each branch adds to a linear map, `‖scale · upᵀ · down‖`, without ever forming the product: with the Gram matrices
 * `D = down · downᵀ` and `U = up · upᵀ` its square is `scale² · Σ D ∘ U`. Of a gain, the norm of its distance from one. Several parts of one site
 * are added. Lets others have the thread after every part.
 */
export async function siteNorms({ branches, gains }: Pick<AdapterWeights, 'branches' | 'gains'>): Promise<SiteNorm[]> {
  const norms = new Map<string, number>()
  const add = async (site: string, norm: number): Promise<void> => {
    norms.set(site, (norms.get(site) ?? 0) + norm)
    await nextTurn()
  }
  for (const { layer, kind, rank, scale, down, up } of branches) {
    let square = 0
    for (let i = 0; i < rank; i++)
      for (let j = 0; j <= i; j++)
        square += (i === j ? 1 : 2) * rowProduct(down, rank, i, j) * rowProduct(up, rank, i, j)
    await add(siteName(layer, kind), Math.abs(scale) * Math.sqrt(Math.max(0, square)))
  }
  for (const { layer, kind, values } of gains) {
    await add(siteName(layer, kind), Math.sqrt(values.reduce((sum, value) => sum + (value - 1) ** 2, 0)))
  }
  return [...norms].map(([site, norm]) => ({ site, norm }))
}

/** Product of two rows of a matrix with that many rows. */
function rowProduct(values: Float32Array, rows: number, i: number, j: number): number {
  const width = values.length / rows
  let sum = 0
  for (let k = 0; k < width; k++) sum += values[i * width + k]! * values[j * width + k]!
  return sum
}
