import type { Architecture } from '../architecture.ts'
import type { GraphBuilder, Value } from '../onnx/graph-builder.ts'

/** The norms of one architecture, RMS norms or layer norms with a bias; their weights are inputs of the graph. */
export class Norms {
  readonly #graph: GraphBuilder
  readonly #norm: Architecture['norm']

  constructor(graph: GraphBuilder, norm: Architecture['norm']) {
    this.#graph = graph
    this.#norm = norm
  }

  /**
   * @param name the norm's weight in the prepared model, without the layer
   * @param width channels that are normalised together
   */
  norm(x: Value, name: string, width: number): Value {
    const rms = this.#norm.kind === 'rms'
    const parameters = [name, ...(rms ? [] : [`${name}.bias`])].map((one) => this.#graph.input(one, 'f32', [width]))
    const op = rms ? 'SimplifiedLayerNormalization' : 'LayerNormalization'
    return this.#graph.node(op, [x, ...parameters], { axis: -1, epsilon: { float: this.#norm.eps } })
  }
}
