import type { Architecture } from '../architecture.ts'
import type { GraphBuilder, Value } from '../onnx/graph-builder.ts'
import type { LayerWeights } from './layer.ts'
import type { Norms } from './norms.ts'

/** Names of attention's inputs. */
export const ATTENTION_IO = {
  /** f32 `[tokens, tokens]`: 0 where a query sees a key, −∞ where it does not. */
  mask: 'mask',
  /** f32 `[tokens, 1, rotated / 2]`, only in layers that rotate. */
  cos: 'cos',
  sin: 'sin',
} as const

interface AttentionParts {
  readonly graph: GraphBuilder
  readonly weights: LayerWeights
  readonly norms: Norms
}

/** Attention of one sequence from its first token on, written out in products and a softmax. */
export class Attention {
  readonly #architecture: Architecture
  readonly #parts: AttentionParts

  constructor(architecture: Architecture, parts: AttentionParts) {
    this.#architecture = architecture
    this.#parts = parts
  }

  /** @param x the normalised stream `[tokens, hidden]`. @returns what the sublayer gives, of the same shape */
  add(layer: number, x: Value): Value {
    const { heads, kvHeads, headDim, attention } = this.#architecture
    const { graph, weights } = this.#parts
    const widths = [heads * headDim, kvHeads * headDim, kvHeads * headDim]
    const [q, k, v] = graph.nodes('Split', [weights.linear('qkv', x), this.#shape(widths)], 3, { axis: -1 })
    const [cos, sin] = this.#rotation(layer)
    const turned = (part: 'q' | 'k', flat: Value, count: number): Value => {
      const apart = graph.node('Reshape', [flat, this.#shape([-1, count, headDim])])
      const normed = this.#headNorm(part, apart)
      return cos === undefined ? normed : this.#rotate(layer, normed, cos, sin!)
    }
    // Queries of one key head stand together: [kvHeads, group, tokens, headDim] against [kvHeads, 1, headDim, tokens].
    const group = heads / kvHeads
    const grouped = graph.node('Reshape', [turned('q', q!, heads), this.#shape([-1, kvHeads, group, headDim])])
    const queries = graph.node('Transpose', [grouped], { perm: [1, 2, 0, 3] })
    const apart = (flat: Value): Value => graph.node('Reshape', [flat, this.#shape([-1, kvHeads, 1, headDim])])
    const keys = graph.node('Transpose', [apart(turned('k', k!, kvHeads))], { perm: [1, 2, 3, 0] })
    const values = graph.node('Transpose', [apart(v!)], { perm: [1, 2, 0, 3] })

    let scores = graph.node('Mul', [graph.node('MatMul', [queries, keys]), this.#scalar(attention.scale)])
    if (attention.softcap !== null) {
      const cap = this.#scalar(attention.softcap)
      scores = graph.node('Mul', [graph.node('Tanh', [graph.node('Div', [scores, cap])]), cap])
    }
    const mask = graph.input(ATTENTION_IO.mask, 'f32', ['tokens', 'tokens'])
    const shares = graph.node('Softmax', [graph.node('Add', [scores, mask])], { axis: -1 })
    const attended = graph.node('Transpose', [graph.node('MatMul', [shares, values])], { perm: [2, 0, 1, 3] })
    return weights.linear('o', graph.node('Reshape', [attended, this.#shape([-1, heads * headDim])]))
  }

  #headNorm(part: 'q' | 'k', x: Value): Value {
    const { names, headDim } = this.#architecture
    return names.qNorm === undefined ? x : this.#parts.norms.norm(x, `${part}_norm`, headDim)
  }

  #rotation(layer: number): Value[] {
    const { attention, ropes } = this.#architecture
    const index = attention.ropes[layer] ?? null
    if (index === null) return []
    const half = ropes[index]!.inverseFrequencies.length
    return [ATTENTION_IO.cos, ATTENTION_IO.sin].map((name) => this.#parts.graph.input(name, 'f32', ['tokens', 1, half]))
  }

  /** Turns the first dimensions of every head: each of their first half with its counterpart of the second. */
  #rotate(layer: number, x: Value, cos: Value, sin: Value): Value {
    const { graph } = this.#parts
    const { attention, ropes, headDim } = this.#architecture
    const half = ropes[attention.ropes[layer]!]!.inverseFrequencies.length
    const widths = [half, half, ...(headDim > 2 * half ? [headDim - 2 * half] : [])]
    const [a, b, ...rest] = graph.nodes('Split', [x, this.#shape(widths)], widths.length, { axis: -1 })
    const product = (p: Value, q: Value): Value => graph.node('Mul', [p, q])
    const first = graph.node('Sub', [product(a!, cos), product(b!, sin)])
    const second = graph.node('Add', [product(b!, cos), product(a!, sin)])
    return graph.node('Concat', [first, second, ...rest], { axis: -1 })
  }

  #shape(sizes: readonly number[]): Value {
    return this.#parts.graph.constant('i64', [sizes.length], sizes)
  }

  #scalar(value: number): Value {
    return this.#parts.graph.constant('f32', [], [value])
  }
}
