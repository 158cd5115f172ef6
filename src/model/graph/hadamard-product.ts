import type { GraphBuilder, Value } from '../onnx/graph-builder.ts'
import { MICROSOFT } from '../onnx/graph-builder.ts'
import { hadamardMatrix, hadamardSize } from '../hadamard.ts'

/** Steps of activations are bytes around this one, 127 to each side. */
const ZERO = 128
const LARGEST_STEP = 127

/** Activations as steps `[rows, inDim]`; times `largest` `[rows, 1]` over 127 they are the turned activations. */
interface Steps {
  readonly steps: Value
  readonly largest: Value
}

/**
 * Products of rounded activations with blocks that are turned and rounded to 8 bits: `x · Wᵀ = (x · R)(W · R)ᵀ`, where every row of `x · R` is
 * rounded by its own largest value. Products and sums of steps are whole numbers, so a row's result does not depend on the rows beside it.
 */
export class HadamardProducts {
  readonly #graph: GraphBuilder
  readonly #matrices = new Map<number, Value>()
  readonly #rounded = new Map<Value, Steps>()
  #constants: { readonly scale: Value; readonly zero: Value } | null = null

  constructor(graph: GraphBuilder) {
    this.#graph = graph
  }

  /**
   * @param x `[rows, inDim]`
   * @param weight i8 `[inDim, outDim]`, see `prepared.ts`
   * @param scales `[outDim]`
   * @param outputs names of what it gives, or 1
   */
  product(x: Value, inDim: number, weight: Value, scales: Value, outputs: 1 | readonly [string]): Value {
    const { scale, zero } = this.#bytes()
    const { steps, largest } = this.#round(x, inDim)
    const sums = this.#graph.node('MatMulIntegerToFloat', [steps, weight, scale, scales, zero], {}, MICROSOFT)
    return this.#graph.nodes('Mul', [sums, largest], outputs)[0]!
  }

  /** A turned weight `[inDim, outDim]` as it was before. */
  turnBack(weight: Value, inDim: number): Value {
    const graph = this.#graph
    const size = hadamardSize(inDim)
    const groups = graph.node('Reshape', [weight, graph.constant('i64', [3], [inDim / size, size, -1])])
    const turned = graph.node('MatMul', [this.#matrix(size), groups])
    return graph.node('Reshape', [turned, graph.constant('i64', [2], [inDim, -1])])
  }

  /** `[rows, inDim]` with the inputs turned. */
  #turn(x: Value, inDim: number): Value {
    const graph = this.#graph
    const size = hadamardSize(inDim)
    const groups = graph.node('Reshape', [x, graph.constant('i64', [2], [-1, size])])
    const turned = graph.node('MatMul', [groups, this.#matrix(size)])
    return graph.node('Reshape', [turned, graph.constant('i64', [2], [-1, inDim])])
  }

  #round(x: Value, inDim: number): Steps {
    const known = this.#rounded.get(x)
    if (known !== undefined) return known
    const graph = this.#graph
    const { scale, zero } = this.#bytes()
    const turned = this.#turn(x, inDim)
    // Axis 1, not -1: without rows ONNX Runtime 1.30 gives the latter's result a wrong shape.
    const largest = graph.node('ReduceMax', [graph.node('Abs', [turned]), graph.constant('i64', [1], [1])])
    // A row of zeros gives 0 / 0, which becomes some step or other, and then the product times 0.
    const steps = graph.node('QuantizeLinear', [graph.node('Div', [turned, largest]), scale, zero])
    const rounded = { steps, largest }
    this.#rounded.set(x, rounded)
    return rounded
  }

  #matrix(size: number): Value {
    let matrix = this.#matrices.get(size)
    if (matrix === undefined) {
      matrix = this.#graph.constant('f32', [size, size], [...hadamardMatrix(size)])
      this.#matrices.set(size, matrix)
    }
    return matrix
  }

  #bytes(): { readonly scale: Value; readonly zero: Value } {
    this.#constants ??= {
      scale: this.#graph.constant('f32', [], [1 / LARGEST_STEP]),
      zero: this.#graph.constant('u8', [], [ZERO]),
    }
    return this.#constants
  }
}
