import type { Activation, EdgeKind, LinearKind, ResidualKind, SiteKind } from '../../core/branch.ts'
import type { ModelInfo } from '../../core/model-info.ts'
import { siteDims } from '../../core/model-info.ts'
import type { GraphBuilder, Shape, Value } from '../onnx/graph-builder.ts'
import { MICROSOFT } from '../onnx/graph-builder.ts'
import { activate } from './activation.ts'
import type { GainKind, GraphSpec } from './spec.ts'
import { IO, hasBias, specKinds } from './spec.ts'

type Masks = readonly (readonly [Activation, Value])[]

/**
 * The adapters' part of the graph: at every site of the spec
 *
 *     xa    = X · downᵀ (+ a)            [batch, tokens, rank]
 *     xm    = Σφ φ(xa) ∘ maskφ           the mask carries the row's scale, 0 where the row does not use the column
 *     delta = xm · up                    [batch, tokens, outDim]
 *
 * over the ranks of all adapters in the batch, stacked. Linear sites have φ = identity. Gains multiply what a linear layer reads or returns
 * by one row of a table, the first of which is all ones.
 */
export class BranchSites {
  readonly #graph: GraphBuilder
  readonly #info: ModelInfo
  readonly #spec: GraphSpec
  readonly #kinds: ReadonlySet<SiteKind>
  readonly #masks = new Map<LinearKind | EdgeKind, Value>()
  /** By kind, then by level of the stack. */
  readonly #activationMasks = new Map<ResidualKind, readonly Masks[]>()
  readonly #gainRows = new Map<GainKind, Value>()
  readonly #inputs = new Map<string, Value>()

  constructor(graph: GraphBuilder, info: ModelInfo, spec: GraphSpec) {
    this.#graph = graph
    this.#info = info
    this.#spec = spec
    this.#kinds = new Set(specKinds(spec))
    const mask = (name: string, kind: SiteKind): Value => graph.input(name, 'f32', ['batch', 1, rankOf(kind)])
    for (const kind of [...spec.linear, ...spec.edges]) this.#masks.set(kind, mask(IO.mask(kind), kind))
    for (const kind of spec.residual) {
      const level = (_: unknown, index: number): Masks =>
        spec.activations.map((phi) => [phi, mask(IO.activationMask(kind, phi, index), kind)] as const)
      this.#activationMasks.set(kind, Array.from({ length: spec.depth }, level))
    }
    for (const kind of spec.gains) this.#gainRows.set(kind, graph.input(IO.gainRow(kind), 'i64', ['batch', 1]))
  }

  has(kind: SiteKind): boolean {
    return this.#kinds.has(kind)
  }

  /** Whether a linear layer's output goes through a site or a gain. */
  changes(kind: LinearKind): boolean {
    return this.has(kind) || this.#gainRows.has(`${kind}.out`)
  }

  /** What a linear layer reads: `x`, times the row's gain when the spec has one there. */
  linearInput(layer: number, kind: LinearKind, x: Value): Value {
    return this.#multiply(layer, `${kind}.in`, x, siteDims(this.#info, kind)[0])
  }

  /** What a linear layer that gave `y` for `x` returns, after gain and branches. */
  addLinear(layer: number, kind: LinearKind, x: Value, y: Value): Value {
    const gained = this.#multiply(layer, `${kind}.out`, y, siteDims(this.#info, kind)[1])
    const mask = this.#masks.get(kind)
    if (mask === undefined) return gained
    const xa = this.#reduce(layer, kind, x)
    return this.#graph.node('Add', [gained, this.#expand(layer, kind, this.#graph.node('Mul', [xa, mask]))])
  }

  /** Delta of a residual site that reads `x`, of the modules on one level of the stacks; null when the spec does not have the site. */
  residual(layer: number, kind: ResidualKind, level: number, x: Value): Value | null {
    const masks = this.#activationMasks.get(kind)?.[level]
    if (masks === undefined) return null
    const graph = this.#graph
    const xa = this.#reduce(layer, kind, x)
    const parts = masks.map(([phi, mask]) => graph.node('Mul', [activate(graph, phi, xa), mask]))
    return this.#expand(layer, kind, parts.length === 1 ? parts[0]! : graph.node('Sum', parts))
  }

  /** The embedded tokens `y [batch, tokens, hidden]`, plus the delta of a branch on the embedding: its `down` is looked up, not multiplied. */
  addEmbedding(ids: Value, y: Value): Value {
    const mask = this.#masks.get('embed_tokens')
    if (mask === undefined) return y
    const graph = this.#graph
    const columns = graph.node('Gather', [this.#down(0, 'embed_tokens'), ids], { axis: 1 })
    const xa = graph.node('Transpose', [columns], { perm: [1, 2, 0] })
    return graph.node('Add', [y, this.#expand(0, 'embed_tokens', graph.node('Mul', [xa, mask]))])
  }

  /**
   * The logits `y [rows, vocab]` of `x [rows, hidden]`, plus the delta of a branch on the head. The rows are those of the batch,
   * or all of one.
   */
  addHead(x: Value, y: Value): Value {
    const mask = this.#masks.get('lm_head')
    if (mask === undefined) return y
    const graph = this.#graph
    const rowMask = graph.node('Squeeze', [mask, graph.constant('i64', [1], [1])])
    const xm = graph.node('Mul', [this.#reduce(0, 'lm_head', x), rowMask])
    return graph.node('Add', [y, this.#expand(0, 'lm_head', xm)])
  }

  #reduce(layer: number, kind: SiteKind, x: Value): Value {
    const graph = this.#graph
    const xa = graph.node('FusedMatMul', [x, this.#down(layer, kind)], { transB: 1 }, MICROSOFT)
    if (!hasBias(this.#spec, kind)) return xa
    return graph.node('Add', [xa, this.#input(IO.bias(layer, kind), [rankOf(kind)])])
  }

  #expand(layer: number, kind: SiteKind, xm: Value): Value {
    const up = this.#input(IO.up(layer, kind), [rankOf(kind), siteDims(this.#info, kind)[1]])
    return this.#graph.node('MatMul', [xm, up])
  }

  #down(layer: number, kind: SiteKind): Value {
    return this.#input(IO.down(layer, kind), [rankOf(kind), siteDims(this.#info, kind)[0]])
  }

  /** Weights of a branch; all levels of a stack read the same. */
  #input(name: string, shape: Shape): Value {
    let value = this.#inputs.get(name)
    if (value === undefined) this.#inputs.set(name, (value = this.#graph.input(name, 'f32', shape)))
    return value
  }

  #multiply(layer: number, kind: GainKind, x: Value, channels: number): Value {
    const rows = this.#gainRows.get(kind)
    if (rows === undefined) return x
    const table = this.#graph.input(IO.gain(layer, kind), 'f32', [`gains.${kind}`, channels])
    return this.#graph.node('Mul', [x, this.#graph.node('Gather', [table, rows])])
  }
}

function rankOf(kind: string): string {
  return `rank.${kind}`
}
