import { QUANT_BLOCK } from '../layout.ts'
import type { GraphBuilder, Value } from '../onnx/graph-builder.ts'
import { MICROSOFT } from '../onnx/graph-builder.ts'
import type { PreparedManifest } from '../prepared.ts'
import { WEIGHTS_FILE } from '../prepared.ts'

const QUANTISED_BITS = 4
/** int8 activations per block: the level with the fast kernel on CPUs. */
const QUANTISED_ACCURACY = 4

/** The prepared model's tensors in a graph; their bytes stay in `weights.bin`. */
export class Weights {
  readonly #graph: GraphBuilder
  readonly #manifest: PreparedManifest
  readonly #values = new Map<string, Value>()

  constructor(graph: GraphBuilder, manifest: PreparedManifest) {
    this.#graph = graph
    this.#manifest = manifest
  }

  /** A linear block of the prepared model, in whichever precision it was written. */
  linear(block: string, x: Value, output?: string): Value {
    const graph = this.#graph
    const { tensors } = this.#manifest
    const biased = `${block}.bias` in tensors
    const outputs = output !== undefined && !biased ? [output] : 1
    const quantised = tensors[`${block}.q4`]
    let y: Value
    if (quantised !== undefined) {
      const [width, blocks] = quantised.shape
      const scales = tensors[`${block}.scales`]
      if (width === undefined || blocks === undefined || scales === undefined)
        throw new Error(`incomplete block ${block}`)
      const attributes = {
        K: this.#inputWidth(block),
        N: width,
        bits: QUANTISED_BITS,
        block_size: QUANT_BLOCK,
        accuracy_level: QUANTISED_ACCURACY,
      }
      const inputs = [x, this.get(`${block}.q4`), this.get(`${block}.scales`)]
      y = graph.nodes('MatMulNBits', inputs, outputs, attributes, MICROSOFT)[0]!
    } else y = graph.nodes('MatMul', [x, this.get(`${block}.weight`)], outputs)[0]!
    if (!biased) return y
    return graph.nodes('Add', [y, this.get(`${block}.bias`)], output === undefined ? 1 : [output])[0]!
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
