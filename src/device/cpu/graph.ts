import type { Architecture } from '../../model/architecture.ts'
import type { Value } from '../../model/onnx/graph-builder.ts'
import { GraphBuilder } from '../../model/onnx/graph-builder.ts'

/** The domain of the operators in `native/ops`. */
const DOMAIN = 'troupe'
/** Products of a layer and sublayers, as `native/runtime/architecture.h` numbers them. */
const BLOCK = { qkv: 0, o: 1, mlpIn: 2, down: 3 } as const
const SUBLAYER = { attention: 0, mlp: 1 } as const

type GraphArchitecture = Pick<Architecture, 'layers' | 'residual' | 'mlpKind'>

/** What stands between two sublayers: the stream, and what the next one reads. */
interface Between {
  readonly stream: Value
  readonly normed: Value
}

/**
 * The one graph of a base model: `tokens` i32 `[tokens]` in, `logits` f32 `[rows, width]` out. Weights, adapters, pages and everything else a step says lie behind its
 * operators, so the graph never changes: nodes name their layer and what they are in it.
 */
export function buildStepGraph(architecture: GraphArchitecture): Uint8Array<ArrayBuffer> {
  return new StepGraph(architecture).build()
}

class StepGraph {
  readonly #graph = new GraphBuilder()
  readonly #architecture: GraphArchitecture

  constructor(architecture: GraphArchitecture) {
    this.#architecture = architecture
  }

  build(): Uint8Array<ArrayBuffer> {
    const tokens = this.#graph.input('tokens', 'i32', ['tokens'])
    const stream = this.#node('Embed', [tokens], 0, 0)
    const last = this.#architecture.residual === 'parallel' ? this.#sideBySide(stream) : this.#chain(stream)
    const [logits] = this.#graph.nodes('Head', last, ['logits'], { layer: 0, part: 0 }, DOMAIN)
    this.#graph.output(logits!, 'f32', ['rows', 'width'])
    return this.#graph.build('troupe')
  }

  /** Attention, then the MLP on what it left. @returns the stream and the last sublayer's result */
  #chain(embedded: Value): Value[] {
    const { layers } = this.#architecture
    let state: Between = { stream: embedded, normed: this.#norm(embedded, 0, SUBLAYER.attention) }
    for (let layer = 0; ; layer++) {
      const attended = this.#attention(state.normed, layer)
      state = this.#addNorm(state.stream, attended, layer, SUBLAYER.attention)
      const result = this.#mlp(state.normed, layer)
      if (layer + 1 === layers) return [state.stream, result]
      state = this.#addNorm(state.stream, result, layer, SUBLAYER.mlp)
    }
  }

  /** Attention and MLP on the same stream, each behind a norm of its own. @returns the stream and the last results of both */
  #sideBySide(embedded: Value): Value[] {
    const { layers } = this.#architecture
    let stream = embedded
    let normed: Value[] = [this.#norm(stream, 0, SUBLAYER.attention), this.#norm(stream, 0, SUBLAYER.mlp)]
    for (let layer = 0; ; layer++) {
      const results = [this.#attention(normed[0]!, layer), this.#mlp(normed[1]!, layer)]
      if (layer + 1 === layers) return [stream, ...results]
      const next = this.#graph.nodes('AddNorms', [stream, ...results], 3, { layer, part: SUBLAYER.mlp }, DOMAIN)
      stream = next[0]!
      normed = next.slice(1)
    }
  }

  #attention(normed: Value, layer: number): Value {
    const qkv = this.#linear(normed, layer, BLOCK.qkv)
    return this.#linear(this.#node('Attention', [qkv], layer, SUBLAYER.attention), layer, BLOCK.o)
  }

  /** The second product of a gated MLP multiplies gate and up by itself. */
  #mlp(normed: Value, layer: number): Value {
    const inner = this.#linear(normed, layer, BLOCK.mlpIn)
    const isGated = this.#architecture.mlpKind === 'gated'
    return this.#linear(isGated ? inner : this.#node('Activate', [inner], layer, SUBLAYER.mlp), layer, BLOCK.down)
  }

  #addNorm(stream: Value, result: Value, layer: number, part: number): Between {
    const [next, normed] = this.#graph.nodes('AddNorm', [stream, result], 2, { layer, part }, DOMAIN)
    return { stream: next!, normed: normed! }
  }

  #norm(x: Value, layer: number, part: number): Value {
    return this.#node('Norm', [x], layer, part)
  }

  #linear(x: Value, layer: number, part: number): Value {
    return this.#node('Linear', [x], layer, part)
  }

  #node(op: string, inputs: readonly Value[], layer: number, part: number): Value {
    return this.#graph.node(op, inputs, { layer, part }, DOMAIN)
  }
}
