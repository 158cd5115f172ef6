import { hadamardTensor } from '../block-format.ts'
import { kindDims } from '../families/modules.ts'
import { fusedBlocks } from '../fused-blocks.ts'
import type { GraphBuilder, Shape, Value } from '../onnx/graph-builder.ts'
import type { PreparedManifest } from '../prepared.ts'
import { HadamardProducts } from './hadamard-product.ts'
import type { GraphWeights } from './weights.ts'
import { Weights } from './weights.ts'

/** Names of a block's inputs; a block and a tensor go by their name without the layer. */
export const MERGE_IO = {
  /** f32 as the prepared model has it (`weightForm`). */
  weight: (block: string) => `${block}.weight`,
  /** f32 `[rank, inDim]` and `[rank, outDim]`: what is added to the weight, `upᵀ · down`. */
  down: (block: string) => `${block}.merge_down`,
  up: (block: string) => `${block}.merge_up`,
  /** f32 `[outDim]`. */
  bias: (block: string) => `${block}.bias`,
  /** f32, `[inDim]` and `[outDim]` along the weight's own dimensions; only with gains. */
  gainIn: (block: string) => `${block}.gain_in`,
  gainOut: (block: string) => `${block}.gain_out`,
} as const

/**
 * The weights of one layer, or of the head, as inputs of the graph, with an adapter merged into them before they are used:
 *
 *     W' = diag(gainOut) · W · diag(gainIn) + upᵀ · down        y = W' x + b'
 *
 * One graph serves all layers of a kind. Tables of rotations stay in `weights.bin`.
 */
export class MergedWeights implements GraphWeights {
  readonly #graph: GraphBuilder
  readonly #manifest: PreparedManifest
  readonly #gains: boolean
  readonly #tables: Weights
  readonly #hadamard: HadamardProducts
  readonly #values = new Map<string, Value>()

  /** @param gains whether the weights are multiplied too */
  constructor(graph: GraphBuilder, manifest: PreparedManifest, gains: boolean) {
    this.#graph = graph
    this.#manifest = manifest
    this.#gains = gains
    this.#tables = new Weights(graph, manifest)
    this.#hadamard = new HadamardProducts(graph)
  }

  linear(block: string, x: Value, output?: string): Value {
    const graph = this.#graph
    const role = withoutLayer(block)
    const { transposed, turned } = weightForm(this.#manifest, block)
    const [inDim, outDim] = role === 'head' ? this.#headDims() : blockDims(this.#manifest, role)
    const placed = (rows: number | string, columns: number | string): Shape =>
      transposed ? [columns, rows] : [rows, columns]
    let weight = this.#input(MERGE_IO.weight(role), placed(outDim, inDim))
    if (turned) weight = this.#hadamard.turnBack(weight, inDim)
    if (this.#gains) {
      weight = graph.node('Mul', [weight, this.#input(MERGE_IO.gainOut(role), placed(outDim, 1))])
      weight = graph.node('Mul', [weight, this.#input(MERGE_IO.gainIn(role), placed(1, inDim))])
    }
    const down = this.#input(MERGE_IO.down(role), [`${role}.rank`, inDim])
    const up = this.#input(MERGE_IO.up(role), [`${role}.rank`, outDim])
    const merged = graph.node('Gemm', [...(transposed ? [down, up] : [up, down]), weight], { transA: 1 })
    const inputs = [x, merged, this.#input(MERGE_IO.bias(role), [outDim])]
    return graph.nodes('Gemm', inputs, output === undefined ? 1 : [output], { transB: transposed ? 0 : 1 })[0]!
  }

  get(name: string): Value {
    if (name.startsWith('rope.')) return this.#tables.get(name)
    return this.#input(withoutLayer(name), this.#manifest.tensors[name]!.shape)
  }

  /** The head is evaluated in parts of its outputs. */
  #headDims(): readonly [number, string] {
    return [this.#manifest.architecture.hidden, 'outputs']
  }

  #input(name: string, shape: Shape): Value {
    let value = this.#values.get(name)
    if (value === undefined) this.#values.set(name, (value = this.#graph.input(name, 'f32', shape)))
    return value
  }
}

/** How a prepared model has a block's weight: `[outDim, inDim]` or transposed, and whether its inputs are turned by a Hadamard matrix. */
export function weightForm({ tensors }: PreparedManifest, block: string): { transposed: boolean; turned: boolean } {
  const turned = hadamardTensor(block) in tensors
  return { transposed: turned || `${block}.weight` in tensors, turned }
}

/** `[inDim, outDim]` of a fused block of a layer. */
export function blockDims({ architecture }: PreparedManifest, block: string): readonly [number, number] {
  const kinds = fusedBlocks(architecture)[block]
  if (kinds === undefined) throw new Error(`a layer has no block ${block}`)
  const dims = kinds.map((kind) => kindDims(kind, architecture))
  return [dims[0]![0], dims.reduce((sum, [, outDim]) => sum + outDim, 0)]
}

/** `layers.3.qkv` → `qkv`. */
export function withoutLayer(name: string): string {
  return name.replace(/^layers\.\d+\./, '')
}
