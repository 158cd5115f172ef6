import type { Activation, EdgeKind, LinearKind, ResidualKind, SiteKind } from '../../core/branch.ts'
import { isEdgeKind } from '../../core/branch.ts'
import type { ModelInfo } from '../../core/model-info.ts'
import { siteDims } from '../../core/model-info.ts'
import type { GraphBuilder, Shape, Value } from '../onnx/graph-builder.ts'
import { MICROSOFT } from '../onnx/graph-builder.ts'
import { activate } from './activation.ts'
import type { Form, GainKind, GraphSpec } from './spec.ts'
import { IO, hasBias, needsUnitMasks, specKinds } from './spec.ts'

type Masks = readonly (readonly [Activation, Value])[]

/**
 * The adapters' part of the graph: at every site of the spec, in the dense form over the ranks of all adapters in the batch, stacked,
 *
 *     xa    = X · downᵀ (+ a)            [rows, rank]
 *     xm    = Σφ φ(xa) ∘ maskφ           the mask carries the row's scale, 0 where the row does not use the column
 *     delta = xm · up                    [rows, outDim]
 *
 * and in the grouped form, for decode steps, over equal units of the stack, each with the rows that use it,
 *
 *     xa    = X[members] · downᵀ (+ a)   [units, members, unit]
 *     xm    = Σφ φ(xa) ∘ maskφ
 *     delta = combine · (xm · up)        [rows, outDim], the scale of every member in its row
 *
 * Linear sites have φ = identity. The edges are dense in both. Gains multiply what a linear layer reads or returns by one row of a table,
 * the first of which is all ones.
 */
export class BranchSites {
  readonly #graph: GraphBuilder
  readonly #info: ModelInfo
  readonly #spec: GraphSpec
  readonly #form: Form
  readonly #kinds: ReadonlySet<SiteKind>
  readonly #masks = new Map<LinearKind | EdgeKind, Value>()
  /** By kind, then by level of the stack. */
  readonly #activationMasks = new Map<ResidualKind, readonly Masks[]>()
  readonly #gainRows = new Map<GainKind, Value>()
  readonly #inputs = new Map<string, Value>()

  constructor(graph: GraphBuilder, info: ModelInfo, spec: GraphSpec, form: Form) {
    this.#graph = graph
    this.#info = info
    this.#spec = spec
    this.#form = form
    this.#kinds = new Set(specKinds(spec))
    const grouped = form === 'grouped'
    const masked = grouped ? spec.edges : [...spec.linear, ...spec.edges]
    for (const kind of masked) this.#masks.set(kind, graph.input(IO.mask(kind), 'f32', ['batch', rankOf(kind)]))
    for (const kind of spec.residual) {
      if (grouped && !needsUnitMasks(spec)) continue
      const shape = grouped ? [unitsOf(kind), 1, rankOf(kind)] : ['batch', rankOf(kind)]
      const level = (_: unknown, index: number): Masks =>
        spec.activations.map(
          (phi) => [phi, this.#input(IO.activationMask(kind, phi, grouped ? 0 : index), shape)] as const,
        )
      this.#activationMasks.set(kind, Array.from({ length: spec.depth }, level))
    }
    for (const kind of spec.gains) this.#gainRows.set(kind, graph.input(IO.gainRow(kind), 'i64', ['batch']))
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
    if (!this.has(kind)) return gained
    const xa = this.#reduce(layer, kind, x)
    const mask = this.#masks.get(kind)
    return this.#expand(layer, kind, mask === undefined ? xa : this.#graph.node('Mul', [xa, mask]), gained)
  }

  /** Delta of a residual site that reads `x`, of the modules on one level of the stacks; null when the spec does not have the site. */
  residual(layer: number, kind: ResidualKind, level: number, x: Value): Value | null {
    if (!this.has(kind)) return null
    const graph = this.#graph
    const xa = this.#reduce(layer, kind, x)
    const masks = this.#activationMasks.get(kind)?.[level]
    const parts =
      masks?.map(([phi, mask]) => graph.node('Mul', [activate(graph, phi, xa), mask])) ??
      this.#spec.activations.map((phi) => activate(graph, phi, xa))
    return this.#expand(layer, kind, parts.length === 1 ? parts[0]! : graph.node('Sum', parts), null, level)
  }

  /** The embedded tokens `y [rows, hidden]`, plus the delta of a branch on the embedding: its `down` is looked up, not multiplied. */
  addEmbedding(ids: Value, y: Value): Value {
    const mask = this.#masks.get('embed_tokens')
    if (mask === undefined) return y
    const graph = this.#graph
    const columns = graph.node('Gather', [this.#down(0, 'embed_tokens'), ids], { axis: 1 })
    const xa = graph.node('Transpose', [columns], { perm: [1, 0] })
    return this.#expand(0, 'embed_tokens', graph.node('Mul', [xa, mask]), y)
  }

  /**
   * The logits `y [rows, vocab]` of `x [rows, hidden]`, plus the delta of a branch on the head. The rows are those of the batch,
   * or all of one.
   */
  addHead(x: Value, y: Value): Value {
    const mask = this.#masks.get('lm_head')
    if (mask === undefined) return y
    return this.#expand(0, 'lm_head', this.#graph.node('Mul', [this.#reduce(0, 'lm_head', x), mask]), y)
  }

  #reduce(layer: number, kind: SiteKind, x: Value): Value {
    const graph = this.#graph
    const read = this.#isGrouped(kind) ? graph.node('Gather', [x, this.#members(kind)]) : x
    const xa = graph.node('FusedMatMul', [read, this.#down(layer, kind)], { transB: 1 }, MICROSOFT)
    if (!hasBias(this.#spec, kind)) return xa
    const shape = this.#isGrouped(kind) ? [unitsOf(kind), 1, rankOf(kind)] : [rankOf(kind)]
    return graph.node('Add', [xa, this.#input(IO.bias(layer, kind), shape)])
  }

  /** The delta of `xm`, added to `y` if given, in the same node. */
  #expand(layer: number, kind: SiteKind, xm: Value, y: Value | null, level = 0): Value {
    const graph = this.#graph
    const outDim = siteDims(this.#info, kind)[1]
    const up = this.#weights(IO.up(layer, kind), kind, outDim)
    const product = (a: Value, b: Value): Value =>
      y === null ? graph.node('MatMul', [a, b]) : graph.node('Gemm', [a, b, y])
    if (!this.#isGrouped(kind)) return product(xm, up)
    const flat = graph.node('Reshape', [graph.node('MatMul', [xm, up]), graph.constant('i64', [2], [-1, outDim])])
    return product(this.#input(IO.combine(kind, level), ['batch', `shares.${kind}`]), flat)
  }

  #down(layer: number, kind: SiteKind): Value {
    return this.#weights(IO.down(layer, kind), kind, siteDims(this.#info, kind)[0])
  }

  #weights(name: string, kind: SiteKind, width: number): Value {
    return this.#input(name, this.#isGrouped(kind) ? [unitsOf(kind), rankOf(kind), width] : [rankOf(kind), width])
  }

  #isGrouped(kind: SiteKind): kind is LinearKind | ResidualKind {
    return this.#form === 'grouped' && !isEdgeKind(kind)
  }

  #members(kind: LinearKind | ResidualKind): Value {
    return this.#input(IO.members(kind), [unitsOf(kind), `members.${kind}`], 'i64')
  }

  /** An input that several nodes read: all levels of a stack, all layers. */
  #input(name: string, shape: Shape, type: 'f32' | 'i64' = 'f32'): Value {
    let value = this.#inputs.get(name)
    if (value === undefined) this.#inputs.set(name, (value = this.#graph.input(name, type, shape)))
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

function unitsOf(kind: string): string {
  return `units.${kind}`
}
