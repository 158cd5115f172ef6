import type { Architecture } from '../architecture.ts'
import type { GraphBuilder, Value } from '../onnx/graph-builder.ts'
import { MICROSOFT } from '../onnx/graph-builder.ts'
import type { GraphWeights } from './weights.ts'

/** The residual stream; what the last sublayer gave is still to be added, so that the next norm can do it in the same node. */
export interface Stream {
  readonly stream: Value
  readonly pending: Value | null
}

/** The norms of one architecture, RMS norms or layer norms with a bias. */
export class Norms {
  readonly #graph: GraphBuilder
  readonly #norm: Architecture['norm']
  readonly #weights: GraphWeights

  constructor(graph: GraphBuilder, norm: Architecture['norm'], weights: GraphWeights) {
    this.#graph = graph
    this.#norm = norm
    this.#weights = weights
  }

  /** @param name the norm's weight in the prepared model */
  norm(x: Value, name: string): Value {
    const attributes = { axis: -1, epsilon: { float: this.#norm.eps } }
    const op = this.#norm.kind === 'rms' ? 'SimplifiedLayerNormalization' : 'LayerNormalization'
    return this.#graph.node(op, [x, ...this.#parameters(name)], attributes)
  }

  /** Adds what is pending and normalises; one fused node where there is something to add. */
  addNorm({ stream, pending }: Stream, name: string): { normed: Value; stream: Value } {
    if (pending === null) return { normed: this.norm(stream, name), stream }
    const op = this.#norm.kind === 'rms' ? 'SkipSimplifiedLayerNormalization' : 'SkipLayerNormalization'
    const inputs = [stream, pending, ...this.#parameters(name)]
    const outputs = [`${name}.out`, null, null, `${name}.stream`]
    const [normed, , , sum] = this.#graph.nodes(op, inputs, outputs, { epsilon: { float: this.#norm.eps } }, MICROSOFT)
    return { normed: normed!, stream: sum! }
  }

  #parameters(name: string): Value[] {
    const weight = this.#weights.get(name)
    return this.#norm.kind === 'rms' ? [weight] : [weight, this.#weights.get(`${name}.bias`)]
  }
}
