import type { Architecture } from '../model/architecture.ts'
import type { LayerWeights } from '../model/graph/layer.ts'
import { blockDims } from '../model/graph/layer.ts'
import type { GraphBuilder, Shape, Value } from '../model/onnx/graph-builder.ts'

/** Names of a block's inputs; blocks go by their name without the layer. */
export const MERGE_IO = {
  /** f32 `[outDim, inDim]`. */
  weight: (block: string) => `${block}.weight`,
  /** f32 `[rank, inDim]` and `[rank, outDim]`: what is added to the weight, `upᵀ · down`. */
  down: (block: string) => `${block}.merge_down`,
  up: (block: string) => `${block}.merge_up`,
  /** f32 `[outDim]`. */
  bias: (block: string) => `${block}.bias`,
  /** f32 `[1, inDim]` and `[outDim, 1]`; only with gains. */
  gainIn: (block: string) => `${block}.gain_in`,
  gainOut: (block: string) => `${block}.gain_out`,
} as const

/**
 * The weights of one layer, or of the head, as inputs of the graph, with an adapter merged into them before they are used:
 *
 *     W' = diag(gainOut) · W · diag(gainIn) + upᵀ · down        y = x · W'ᵀ + b'
 *
 * One graph serves all layers of a kind.
 */
export class MergedWeights implements LayerWeights {
  readonly #graph: GraphBuilder
  readonly #architecture: Architecture
  readonly #gains: boolean

  /** @param gains whether the weights are multiplied too */
  constructor(graph: GraphBuilder, architecture: Architecture, gains: boolean) {
    this.#graph = graph
    this.#architecture = architecture
    this.#gains = gains
  }

  /** @param block its name without the layer */
  linear(block: string, x: Value, output?: string): Value {
    const graph = this.#graph
    // The head is evaluated in parts of its outputs.
    const [inDim, outDim] =
      block === 'head' ? ([this.#architecture.hidden, 'outputs'] as const) : blockDims(this.#architecture, block)
    const input = (name: string, shape: Shape): Value => graph.input(name, 'f32', shape)
    let weight = input(MERGE_IO.weight(block), [outDim, inDim])
    if (this.#gains) {
      weight = graph.node('Mul', [weight, input(MERGE_IO.gainOut(block), [outDim, 1])])
      weight = graph.node('Mul', [weight, input(MERGE_IO.gainIn(block), [1, inDim])])
    }
    const down = input(MERGE_IO.down(block), [`${block}.rank`, inDim])
    const up = input(MERGE_IO.up(block), [`${block}.rank`, outDim])
    const merged = graph.node('Gemm', [up, down, weight], { transA: 1 })
    const inputs = [x, merged, input(MERGE_IO.bias(block), [outDim])]
    return graph.nodes('Gemm', inputs, output === undefined ? 1 : [output], { transB: 1 })[0]!
  }
}
