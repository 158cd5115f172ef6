import { hadamardTensor, stepsTensor } from '../block-format.ts'
import type { StepBits } from '../quantize.ts'
import type { GraphBuilder, Value } from '../onnx/graph-builder.ts'
import { MICROSOFT } from '../onnx/graph-builder.ts'
import type { PreparedManifest } from '../prepared.ts'
import { WEIGHTS_FILE } from '../prepared.ts'
import { HadamardProducts } from './hadamard-product.ts'

const STEP_BITS: readonly StepBits[] = [4, 8]
/** int8 activations per block: the level with the fast kernel on CPUs, for 8 bits the only one. */
const QUANTISED_ACCURACY = 4

/** Where the blocks of a graph take the model's weights from. */
export interface GraphWeights {
  /** What a linear block gives for `x`, bias included; `output` names the value. */
  linear(block: string, x: Value, output?: string): Value
  /** Any other tensor of the prepared model, by name. */
  get(name: string): Value
}

/** The prepared model's tensors in a graph; their bytes stay in `weights.bin`. */
export class Weights implements GraphWeights {
  readonly #graph: GraphBuilder
  readonly #manifest: PreparedManifest
  readonly #hadamard: HadamardProducts
  readonly #values = new Map<string, Value>()

  constructor(graph: GraphBuilder, manifest: PreparedManifest) {
    this.#graph = graph
    this.#manifest = manifest
    this.#hadamard = new HadamardProducts(graph)
  }

  /** A linear block of the prepared model, in whichever precision it was written. */
  linear(block: string, x: Value, output?: string): Value {
    const graph = this.#graph
    const { tensors } = this.#manifest
    const biased = `${block}.bias` in tensors
    const outputs = output !== undefined && !biased ? ([output] as const) : 1
    const bits = STEP_BITS.find((count) => stepsTensor(block, count) in tensors)
    const turned = hadamardTensor(block)
    let y: Value
    if (turned in tensors) {
      const scales = this.get(`${block}.scales`)
      y = this.#hadamard.product(x, this.#inputWidth(block), this.get(turned), scales, outputs)
    } else if (bits !== undefined) {
      const steps = stepsTensor(block, bits)
      const [width, , bytes] = tensors[steps]!.shape
      const attributes = {
        K: this.#inputWidth(block),
        N: width!,
        bits,
        block_size: (bytes! * 8) / bits,
        accuracy_level: QUANTISED_ACCURACY,
      }
      const zeros = `${block}.zeros` in tensors ? [this.get(`${block}.zeros`)] : []
      const inputs = [this.#ordered(block, x), this.get(steps), this.get(`${block}.scales`), ...zeros]
      y = graph.nodes('MatMulNBits', inputs, outputs, attributes, MICROSOFT)[0]!
    } else y = graph.nodes('MatMul', [x, this.get(`${block}.weight`)], outputs)[0]!
    if (!biased) return y
    return graph.nodes('Add', [y, this.get(`${block}.bias`)], output === undefined ? 1 : [output])[0]!
  }

  /** The inputs in the order of the block's columns. */
  #ordered(block: string, x: Value): Value {
    const order = `${block}.inputs`
    if (!(order in this.#manifest.tensors)) return x
    return this.#graph.node('Gather', [x, this.get(order)], { axis: -1 })
  }

  #inputWidth(block: string): number {
    const { hidden, heads, headDim, mlp } = this.#manifest.architecture
    if (block.endsWith('.o')) return heads * headDim
    return block.endsWith('.down') ? mlp : hidden
  }

  /** A tensor of the prepared model, by name. */
  get(name: string): Value {
    let value = this.#values.get(name)
    if (value === undefined) {
      const tensor = this.#manifest.tensors[name]
      if (tensor === undefined) throw new Error(`the prepared model lacks ${name}`)
      value = this.#graph.external(name, tensor.dtype, tensor.shape, { file: WEIGHTS_FILE, ...tensor })
      this.#values.set(name, value)
    }
    return value
  }
}
