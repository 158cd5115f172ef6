import type { Architecture, Rope } from '../architecture.ts'
import { rotatesApart } from '../architecture.ts'
import { ropeTensor } from '../layout.ts'
import type { GraphBuilder, Value } from '../onnx/graph-builder.ts'
import { MICROSOFT } from '../onnx/graph-builder.ts'
import type { BranchSites } from './branches.ts'
import type { Norms } from './norms.ts'
import { IO } from './spec.ts'
import type { GraphWeights } from './weights.ts'

/** Lengths and positions of the batch's rows. */
export interface Lengths {
  readonly last: Value
  readonly total: Value
  /** i64 `[3]`: the shape `[batch, tokens, -1]`. */
  readonly apart: Value
  /** null where attention counts positions by itself. */
  readonly positions: Value | null
}

interface AttentionParts {
  readonly graph: GraphBuilder
  readonly sites: BranchSites
  readonly weights: GraphWeights
  readonly norms: Norms
  /** Whether rows are told their positions although attention could count them. */
  readonly positions: boolean
}

/** The rotation of one layer. */
interface Rotation {
  readonly rope: Rope
  readonly cos: Value
  readonly sin: Value
}

/** The attention sublayers of one architecture. */
export class Attention {
  readonly #architecture: Architecture
  readonly #parts: AttentionParts

  constructor(architecture: Architecture, parts: AttentionParts) {
    this.#architecture = architecture
    this.#parts = parts
  }

  /** @param x the normalised stream `[batch · tokens, hidden]`. @returns what the sublayer gives, of the same shape */
  add(layer: number, x: Value, lengths: Lengths): Value {
    const { heads, kvHeads, headDim, longRope } = this.#architecture
    const { graph, sites, weights } = this.#parts
    const rotation = this.#rotation(layer)
    const inside = rotation === null || rotatesApart(rotation.rope) ? [] : [rotation.cos, rotation.sin]
    if (inside.length > 0 && (longRope !== null || this.#parts.positions)) inside.push(lengths.positions!)
    const parts = ['key', 'value'] as const
    const query = this.#query(layer, x, inside.length > 0 ? null : rotation, lengths)
    const past = parts.map((part) => graph.input(IO.past(layer, part), 'f32', ['batch', kvHeads, 'capacity', headDim]))
    const [attended] = graph.nodes(
      'GroupQueryAttention',
      [...query, ...past, lengths.last, lengths.total, ...inside],
      [`layers.${layer}.attended`, ...parts.map((part) => IO.present(layer, part))],
      this.#attributes(layer, inside.length > 0),
      MICROSOFT,
    )
    const flat = graph.node('Reshape', [attended!, graph.constant('i64', [2], [-1, heads * headDim])])
    const read = sites.linearInput(layer, 'o_proj', flat)
    return sites.addLinear(layer, 'o_proj', read, weights.linear(`layers.${layer}.o`, read))
  }

  /** Queries, keys and values: packed in one tensor where nothing is done to them on the way. */
  #query(layer: number, x: Value, rotation: Rotation | null, { positions, apart }: Lengths): (Value | null)[] {
    const { heads, kvHeads, headDim, names } = this.#architecture
    const { graph, sites, weights } = this.#parts
    const packed = weights.linear(`layers.${layer}.qkv`, x)
    const adapted = (['q_proj', 'k_proj', 'v_proj'] as const).some((kind) => sites.changes(kind))
    if (!adapted && names.qNorm === undefined && rotation === null)
      return [graph.node('Reshape', [packed, apart]), null, null]
    const widths = [heads * headDim, kvHeads * headDim, kvHeads * headDim]
    const split = graph.nodes('Split', [packed, graph.constant('i64', [3], widths)], 3, { axis: -1 })
    const q = sites.addLinear(layer, 'q_proj', x, split[0]!)
    const k = sites.addLinear(layer, 'k_proj', x, split[1]!)
    const v = sites.addLinear(layer, 'v_proj', x, split[2]!)
    const finish = (part: 'q' | 'k', flat: Value): Value => {
      const count = part === 'q' ? heads : kvHeads
      const values = graph.node('Reshape', [flat, apart])
      const normed = names.qNorm === undefined ? values : this.#headNorm(layer, part, values, count)
      if (rotation === null) return normed
      const { rope, cos, sin } = rotation
      const attributes = { num_heads: count, rotary_embedding_dim: 2 * rope.inverseFrequencies.length }
      return graph.node('RotaryEmbedding', [normed, positions, cos, sin], attributes, MICROSOFT)
    }
    return [finish('q', q), finish('k', k), graph.node('Reshape', [v, apart])]
  }

  #rotation(layer: number): Rotation | null {
    const index = this.#architecture.attention.ropes[layer] ?? null
    const rope = index === null ? undefined : this.#architecture.ropes[index]
    if (index === null || rope === undefined) return null
    const { weights } = this.#parts
    return { rope, cos: weights.get(ropeTensor(index, 'cos')), sin: weights.get(ropeTensor(index, 'sin')) }
  }

  #attributes(layer: number, rotates: boolean): Record<string, number | { readonly float: number }> {
    const { heads, kvHeads, headDim, attention } = this.#architecture
    const window = attention.windows[layer] ?? null
    return {
      num_heads: heads,
      kv_num_heads: kvHeads,
      do_rotary: rotates ? 1 : 0,
      ...(attention.scale !== headDim ** -0.5 && { scale: { float: attention.scale } }),
      ...(attention.softcap !== null && { softcap: { float: attention.softcap } }),
      ...(window !== null && { local_window_size: window }),
    }
  }

  /** Normalises every head of a query or key `[batch, tokens, count · headDim]`. */
  #headNorm(layer: number, part: 'q' | 'k', x: Value, count: number): Value {
    const { headDim } = this.#architecture
    const { graph, norms } = this.#parts
    const apart = graph.node('Reshape', [x, graph.constant('i64', [4], [0, 0, count, headDim])])
    const normed = norms.norm(apart, `layers.${layer}.${part}_norm`)
    return graph.node('Reshape', [normed, graph.constant('i64', [3], [0, 0, count * headDim])])
  }
}
