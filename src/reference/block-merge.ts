import type { AdapterWeights, Branch, EdgeKind, Gain, LinearKind } from '../core/branch.ts'
import { RESIDUAL_KINDS } from '../core/branch.ts'

/** What an adapter changes in one block, in the form of `MergedWeights`. */
export interface BlockMerge {
  readonly rank: number
  /** `[rank, inDim]` */
  readonly down: Float32Array
  /** `[rank, outDim]`, the scales multiplied in */
  readonly up: Float32Array
  /** `[outDim]` */
  readonly bias: Float32Array
  /** `[inDim]` and `[outDim]` */
  readonly gainIn: Float32Array
  readonly gainOut: Float32Array
}

/** Outputs of one linear layer among those of a block: `width` of them, from the layer's own `from` on, stand at `start`. */
export interface MergePart {
  readonly kind: LinearKind | EdgeKind
  readonly from: number
  readonly start: number
  readonly width: number
}

/** Why an adapter's effect is no other weight matrix; null if it is one. */
export function notMergeable({ branches, virtualTokens, tokenRows }: AdapterWeights): string | null {
  if (tokenRows !== null) return 'tokens have rows of their own in the embedding or the head'
  if (virtualTokens !== null) return 'virtual tokens stand before the prompt and are in no weight matrix'
  const residual: readonly string[] = RESIDUAL_KINDS
  if (branches.some(({ kind, activation }) => residual.includes(kind) || activation !== 'identity'))
    return 'bottleneck modules are layers of their own and are in no weight matrix'
  return null
}

/** The parts of an adapter by place. */
export class AdapterMerge {
  readonly #branches = new Map<string, Branch>()
  readonly #gains = new Map<string, Gain>()

  /** @param adapter null = the base model as it is */
  constructor(adapter: AdapterWeights | null) {
    for (const branch of adapter?.branches ?? []) this.#branches.set(`${branch.layer}.${branch.kind}`, branch)
    for (const gain of adapter?.gains ?? []) this.#gains.set(`${gain.layer}.${gain.kind}.${gain.side}`, gain)
  }

  get hasGains(): boolean {
    return this.#gains.size > 0
  }

  /**
   * What is added to outputs of a block that consists of `parts`, all of which read the same.
   *
   * @param bias the base model's, `[outDim]`
   */
  block(layer: number, parts: readonly MergePart[], inDim: number, bias: Float32Array): BlockMerge {
    const found = parts.flatMap((part) => {
      const branch = this.#branches.get(`${layer}.${part.kind}`)
      return branch === undefined ? [] : [{ part, branch }]
    })
    const outDim = bias.length
    const gainIn = this.#gain(layer, parts, 'in', inDim)
    const gainOut = this.#gain(layer, parts, 'out', outDim)
    // No branch at all is one of zeros.
    const rank = Math.max(
      1,
      found.reduce((sum, { branch }) => sum + branch.rank, 0),
    )
    const down = new Float32Array(rank * inDim)
    const up = new Float32Array(rank * outDim)
    const merged = bias.map((value, o) => value * gainOut[o]!)
    let row = 0
    for (const { part, branch } of found) {
      const { scale, a, c } = branch
      const { from, start, width } = part
      const outputs = branch.up.length / branch.rank
      for (let r = 0; r < branch.rank; r++, row++) {
        for (let i = 0; i < inDim; i++) down[row * inDim + i] = branch.down[r * inDim + i]! * gainIn[i]!
        for (let o = 0; o < width; o++) {
          const weight = scale * branch.up[r * outputs + from + o]!
          up[row * outDim + start + o] = weight
          if (a !== null) merged[start + o]! += weight * a[r]!
        }
      }
      if (c !== null) for (let o = 0; o < width; o++) merged[start + o]! += scale * c[from + o]!
    }
    return { rank, down, up, bias: merged, gainIn, gainOut }
  }

  /** Adds a branch on the embedding to the vector of a token. */
  embed(token: number, vector: Float32Array): void {
    const branch = this.#branches.get('0.embed_tokens')
    if (branch === undefined) return
    const { rank, scale, down, up } = branch
    const vocab = down.length / rank
    for (let r = 0; r < rank; r++) {
      const factor = scale * down[r * vocab + token]!
      for (let i = 0; i < vector.length; i++) vector[i]! += factor * up[r * vector.length + i]!
    }
  }

  #gain(layer: number, parts: readonly MergePart[], side: Gain['side'], channels: number): Float32Array {
    const values = new Float32Array(channels).fill(1)
    for (const { kind, start } of parts) {
      const gain = this.#gains.get(`${layer}.${kind}.${side}`)
      if (gain === undefined) continue
      if (side === 'in' && parts.length > 1) throw new Error(`a gain on what ${kind} reads, which others read too`)
      values.set(gain.values, side === 'in' ? 0 : start)
    }
    return values
  }
}
