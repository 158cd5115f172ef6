import type { Architecture } from '../architecture.ts'
import { kindDims } from '../families/modules.ts'
import { fusedBlocks } from '../fused-blocks.ts'
import type { Value } from '../onnx/graph-builder.ts'
import { GraphBuilder } from '../onnx/graph-builder.ts'
import { activate } from './activation.ts'
import { Attention } from './attention.ts'
import { Norms } from './norms.ts'

/** Names of what goes through a graph of this folder, f32 `[tokens, hidden]` and `[tokens, outputs]`. */
export const LAYER_IO = { stream: 'stream', nextStream: 'next_stream', logits: 'logits' } as const

/** Where the linear blocks of a graph get their weights. */
export interface LayerWeights {
  /**
   * The product of a block.
   *
   * @param block its name without the layer
   * @param x `[tokens, inDim]`
   * @param output how the result is called
   */
  linear(block: string, x: Value, output?: string): Value
}

/** Makes the weights of a graph. */
export type WeightsOf = (graph: GraphBuilder) => LayerWeights

/**
 * One layer of a decoder by itself, of stock operators: `stream` goes in, `next_stream` comes out. For what must share nothing with the engine, or
 * comes before it. Norms are inputs, called as in the prepared model without the layer.
 */
export function buildLayer(architecture: Architecture, layer: number, weightsOf: WeightsOf): Uint8Array<ArrayBuffer> {
  return new LayerGraph(architecture, weightsOf).layer(layer)
}

/** Final norm and head by themselves, as `buildLayer`. */
export function buildHead(architecture: Architecture, weightsOf: WeightsOf): Uint8Array<ArrayBuffer> {
  return new LayerGraph(architecture, weightsOf).head()
}

/** `[inDim, outDim]` of a fused block of a layer. */
export function blockDims(architecture: Architecture, block: string): readonly [number, number] {
  const kinds = fusedBlocks(architecture)[block]
  if (kinds === undefined) throw new Error(`a layer has no block ${block}`)
  const dims = kinds.map((kind) => kindDims(kind, architecture))
  return [dims[0]![0], dims.reduce((sum, [, outDim]) => sum + outDim, 0)]
}

class LayerGraph {
  readonly #architecture: Architecture
  readonly #graph = new GraphBuilder()
  readonly #norms: Norms
  readonly #weights: LayerWeights
  readonly #attention: Attention

  constructor(architecture: Architecture, weightsOf: WeightsOf) {
    this.#architecture = architecture
    this.#norms = new Norms(this.#graph, architecture.norm)
    this.#weights = weightsOf(this.#graph)
    const parts = { graph: this.#graph, weights: this.#weights, norms: this.#norms }
    this.#attention = new Attention(architecture, parts)
  }

  layer(layer: number): Uint8Array<ArrayBuffer> {
    const graph = this.#graph
    const { hidden, residual } = this.#architecture
    const stream = graph.input(LAYER_IO.stream, 'f32', ['tokens', hidden])
    const attended = this.#result('attn', this.#attention.add(layer, this.#norm(stream, 'attn_norm')))
    const between = graph.node('Add', [stream, attended])
    const read = residual === 'parallel' ? stream : between
    const inner = this.#result('mlp', this.#mlp(this.#norm(read, 'mlp_norm')))
    graph.output(graph.nodes('Add', [between, inner], [LAYER_IO.nextStream])[0]!, 'f32', ['tokens', hidden])
    return graph.build('troupe-layer')
  }

  head(): Uint8Array<ArrayBuffer> {
    const graph = this.#graph
    const { hidden, logitSoftcap } = this.#architecture
    const normed = this.#norm(graph.input(LAYER_IO.stream, 'f32', ['tokens', hidden]), 'final_norm')
    let logits: Value
    if (logitSoftcap === null) logits = this.#weights.linear('head', normed, LAYER_IO.logits)
    else {
      const cap = graph.constant('f32', [], [logitSoftcap])
      const bounded = graph.node('Tanh', [graph.node('Div', [this.#weights.linear('head', normed), cap])])
      logits = graph.nodes('Mul', [bounded, cap], [LAYER_IO.logits])[0]!
    }
    graph.output(logits, 'f32', ['tokens', 'outputs'])
    return graph.build('troupe-head')
  }

  #norm(x: Value, name: string): Value {
    return this.#norms.norm(x, name, this.#architecture.hidden)
  }

  /** What a sublayer gives to the stream: its output, normalised and scaled where the family does so. */
  #result(part: 'attn' | 'mlp', output: Value): Value {
    const { names, residualScale } = this.#architecture
    const postNorm = part === 'attn' ? names.attnPostNorm : names.mlpPostNorm
    const normed = postNorm === undefined ? output : this.#norm(output, `${part}_post_norm`)
    if (residualScale === 1) return normed
    return this.#graph.node('Mul', [normed, this.#graph.constant('f32', [], [residualScale])])
  }

  #mlp(x: Value): Value {
    const { mlp, mlpKind, activation } = this.#architecture
    const graph = this.#graph
    if (mlpKind === 'plain')
      return this.#weights.linear('down', activate(graph, activation, this.#weights.linear('up', x)))
    const fused = this.#weights.linear('gate_up', x)
    const [gate, up] = graph.nodes('Split', [fused, graph.constant('i64', [2], [mlp, mlp])], 2, { axis: -1 })
    return this.#weights.linear('down', graph.node('Mul', [activate(graph, activation, gate!), up!]))
  }
}
