import type { Activation, LinearKind, ResidualKind } from '../../core/branch.ts'
import type { ModelInfo } from '../../core/model-info.ts'
import { siteDims } from '../../core/model-info.ts'
import type { GraphBuilder, Value } from '../onnx/graph-builder.ts'
import { MICROSOFT } from '../onnx/graph-builder.ts'
import { activate } from './activation.ts'
import type { GraphSpec } from './spec.ts'
import { IO } from './spec.ts'

/**
 * The adapters' part of the graph: at every site of the spec
 *
 *     xa    = X · downᵀ (+ a)            [batch, tokens, rank]
 *     xm    = Σφ φ(xa) ∘ maskφ           the mask carries the row's scale, 0 where the row does not use the column
 *     delta = xm · up                    [batch, tokens, outDim]
 *
 * over the ranks of all adapters in the batch, stacked. Linear sites have φ = identity and no bias.
 */
export class BranchSites {
  readonly #graph: GraphBuilder
  readonly #info: ModelInfo
  readonly #spec: GraphSpec
  readonly #masks = new Map<LinearKind, Value>()
  readonly #activationMasks = new Map<ResidualKind, (readonly [Activation, Value])[]>()

  constructor(graph: GraphBuilder, info: ModelInfo, spec: GraphSpec) {
    this.#graph = graph
    this.#info = info
    this.#spec = spec
    for (const kind of spec.linear) this.#masks.set(kind, graph.input(IO.mask(kind), 'f32', ['batch', 1, rankOf(kind)]))
    for (const kind of spec.residual)
      this.#activationMasks.set(
        kind,
        spec.activations.map(
          (phi) => [phi, graph.input(IO.activationMask(kind, phi), 'f32', ['batch', 1, rankOf(kind)])] as const,
        ),
      )
  }

  has(kind: LinearKind | ResidualKind): boolean {
    return (
      (this.#spec.linear as readonly string[]).includes(kind) ||
      (this.#spec.residual as readonly string[]).includes(kind)
    )
  }

  /** `y`, plus the linear site's delta when the spec has the site. */
  addLinear(layer: number, kind: LinearKind, x: Value, y: Value): Value {
    const mask = this.#masks.get(kind)
    if (mask === undefined) return y
    const [inDim, outDim] = siteDims(this.#info, kind)
    const graph = this.#graph
    const down = graph.input(IO.down(layer, kind), 'f32', [rankOf(kind), inDim])
    const up = graph.input(IO.up(layer, kind), 'f32', [rankOf(kind), outDim])
    const xa = graph.node('FusedMatMul', [x, down], { transB: 1 }, MICROSOFT)
    const delta = graph.node('MatMul', [graph.node('Mul', [xa, mask]), up])
    return graph.node('Add', [y, delta])
  }

  /** Delta of a residual site that reads `x`; null when the spec does not have the site. */
  residual(layer: number, kind: ResidualKind, x: Value): Value | null {
    const masks = this.#activationMasks.get(kind)
    if (masks === undefined) return null
    const { hidden } = this.#info
    const graph = this.#graph
    const down = graph.input(IO.down(layer, kind), 'f32', [rankOf(kind), hidden])
    const up = graph.input(IO.up(layer, kind), 'f32', [rankOf(kind), hidden])
    const bias = graph.input(IO.bias(layer, kind), 'f32', [rankOf(kind)])
    const xa = graph.node('Add', [graph.node('FusedMatMul', [x, down], { transB: 1 }, MICROSOFT), bias])
    const parts = masks.map(([phi, mask]) => graph.node('Mul', [activate(graph, phi, xa), mask]))
    const xm = parts.length === 1 ? parts[0]! : graph.node('Sum', parts)
    return graph.node('MatMul', [xm, up])
  }
}

function rankOf(kind: string): string {
  return `rank.${kind}`
}
