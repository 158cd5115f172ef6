import { needsPositions } from '../architecture.ts'
import type { Value } from '../onnx/graph-builder.ts'
import { GraphBuilder } from '../onnx/graph-builder.ts'
import type { PreparedManifest } from '../prepared.ts'
import { activate } from './activation.ts'
import type { Lengths } from './attention.ts'
import { Attention } from './attention.ts'
import { BranchSites } from './branches.ts'
import type { Stream } from './norms.ts'
import { Norms } from './norms.ts'
import type { Form, GraphSpec } from './spec.ts'
import { BASE_SPEC, IO } from './spec.ts'
import type { GraphWeights } from './weights.ts'
import { Weights } from './weights.ts'

/**
 * The ONNX model of a prepared decoder-only transformer with the adapter sites of `spec`.
 * One graph serves prefill (`batch = 1`) and decode (`tokens = 1`), in the grouped form decode only; weights stay in `weights.bin`.
 * Output 0 is an empty sequence, so that nothing need be copied out (docs/engine.md, "Writing in place").
 */
export function buildDecoder(manifest: PreparedManifest, spec: GraphSpec, form: Form): Uint8Array<ArrayBuffer> {
  return new Decoder(manifest, spec, form).build()
}

/** Makes the weights of a graph. */
export type WeightsOf = (graph: GraphBuilder) => GraphWeights

/**
 * One layer by itself, without adapter sites: `IO.stream` `[tokens, hidden]` of one sequence goes in, `IO.nextStream` comes out. The rest is as in the whole model.
 *
 * @param weightsOf where its weights come from
 */
export function buildLayer(manifest: PreparedManifest, layer: number, weightsOf: WeightsOf): Uint8Array<ArrayBuffer> {
  return new Decoder(manifest, BASE_SPEC, 'dense', weightsOf).buildLayer(layer)
}

/** Final norm and head by themselves, without adapter sites, as `buildLayer`; the logits are `[tokens, outputs]`. */
export function buildHead(manifest: PreparedManifest, weightsOf: WeightsOf): Uint8Array<ArrayBuffer> {
  return new Decoder(manifest, BASE_SPEC, 'dense', weightsOf).buildHead()
}

class Decoder {
  readonly #manifest: PreparedManifest
  readonly #spec: GraphSpec
  readonly #graph = new GraphBuilder()
  readonly #sites: BranchSites
  readonly #norms: Norms
  readonly #weights: GraphWeights
  readonly #attention: Attention

  constructor(manifest: PreparedManifest, spec: GraphSpec, form: Form, weightsOf?: WeightsOf) {
    const { info, architecture } = manifest
    this.#manifest = manifest
    this.#spec = spec
    this.#sites = new BranchSites(this.#graph, info, spec, form)
    this.#weights = weightsOf?.(this.#graph) ?? new Weights(this.#graph, manifest)
    this.#norms = new Norms(this.#graph, architecture.norm, this.#weights)
    this.#attention = new Attention(architecture, {
      graph: this.#graph,
      sites: this.#sites,
      weights: this.#weights,
      norms: this.#norms,
      positions: spec.positions,
    })
  }

  build(): Uint8Array<ArrayBuffer> {
    const graph = this.#graph
    const { architecture } = this.#manifest
    const { layers, hidden, vocab } = architecture
    graph.sequenceOutput(graph.nodes('SequenceEmpty', [], [IO.done], { dtype: 1 })[0]!)

    const ids = graph.input(IO.inputIds, 'i64', ['batch', 'tokens'])
    const lengths = this.#lengths(graph.node('Shape', [ids]))
    // The stream is `[batch · tokens, hidden]`, so that a product and an addition are one node; attention alone needs three dimensions.
    const flatIds = graph.node('Reshape', [ids, graph.constant('i64', [1], [-1])])
    let state: Stream = { stream: this.#embed(flatIds), pending: null }
    if (architecture.positionOffset !== null) {
      const learned = graph.node('Gather', [this.#weights.get('positions'), lengths.positions])
      const pending = graph.node('Reshape', [learned, graph.constant('i64', [2], [-1, hidden])])
      state = { ...state, pending }
    }
    for (let layer = 0; layer < layers; layer++) state = this.#layer(layer, state, lengths)
    const { stream, pending } = state
    const rows = graph.input(IO.logitRows, 'i64', ['rows'])
    const last = pending === null ? stream : graph.node('Add', [stream, pending])
    const wanted = graph.node('Gather', [last, rows])
    graph.output(this.#logits(this.#norms.norm(wanted, 'final_norm')), 'f32', ['rows', vocab])
    this.#declareCaches(0, layers)
    return graph.build('troupe')
  }

  buildLayer(layer: number): Uint8Array<ArrayBuffer> {
    const graph = this.#graph
    const { hidden } = this.#manifest.architecture
    const stream = graph.input(IO.stream, 'f32', ['tokens', hidden])
    const tokens = graph.node('Shape', [stream], { start: 0, end: 1 })
    const lengths = this.#lengths(graph.node('Concat', [graph.constant('i64', [1], [1]), tokens], { axis: 0 }))
    const left = this.#layer(layer, { stream, pending: null }, lengths)
    const [next] = graph.nodes('Add', [left.stream, left.pending!], [IO.nextStream])
    graph.output(next!, 'f32', ['tokens', hidden])
    this.#declareCaches(layer, layer + 1)
    return graph.build('troupe-layer')
  }

  buildHead(): Uint8Array<ArrayBuffer> {
    const stream = this.#graph.input(IO.stream, 'f32', ['tokens', this.#manifest.architecture.hidden])
    const logits = this.#logits(this.#norms.norm(stream, 'final_norm'))
    this.#graph.output(logits, 'f32', ['tokens', 'outputs'])
    return this.#graph.build('troupe-head')
  }

  /** @param shape i64 `[2]`: batch and tokens */
  #lengths(shape: Value): Lengths {
    const graph = this.#graph
    const placed = this.#spec.positions || needsPositions(this.#manifest.architecture)
    return {
      apart: graph.node('Concat', [shape, graph.constant('i64', [1], [-1])], { axis: 0 }),
      last: graph.input(IO.lastPosition, 'i32', ['batch']),
      total: graph.input(IO.totalLength, 'i32', []),
      positions: placed ? graph.input(IO.positions, 'i64', ['batch', 'tokens']) : null,
    }
  }

  #layer(layer: number, state: Stream, lengths: Lengths): Stream {
    const isParallel = this.#manifest.architecture.residual === 'parallel'
    return isParallel ? this.#parallel(layer, state, lengths) : this.#chain(layer, state, lengths)
  }

  /** Attention, then the MLP on what it left. */
  #chain(layer: number, state: Stream, lengths: Lengths): Stream {
    const before = this.#norms.addNorm(state, `layers.${layer}.attn_norm`)
    const attn = this.#result(layer, 'attn', this.#attention.add(layer, before.normed, lengths))
    const between = this.#norms.addNorm(
      this.#leaveSublayer(layer, 'attn', before.stream, attn),
      `layers.${layer}.mlp_norm`,
    )
    const mlp = this.#result(layer, 'mlp', this.#mlp(layer, between.normed))
    return this.#leaveSublayer(layer, 'mlp', between.stream, mlp)
  }

  /** Attention and MLP side by side on the same stream, each behind a norm of its own. */
  #parallel(layer: number, state: Stream, lengths: Lengths): Stream {
    const { normed, stream } = this.#norms.addNorm(state, `layers.${layer}.attn_norm`)
    const attn = this.#result(layer, 'attn', this.#attention.add(layer, normed, lengths))
    const mlp = this.#result(layer, 'mlp', this.#mlp(layer, this.#norms.norm(stream, `layers.${layer}.mlp_norm`)))
    return { stream, pending: this.#graph.node('Add', [attn, mlp]) }
  }

  /** What a sublayer gives to the stream: its output, normalised and scaled where the family does so. */
  #result(layer: number, part: 'attn' | 'mlp', output: Value): Value {
    const { names, residualScale } = this.#manifest.architecture
    const postNorm = part === 'attn' ? names.attnPostNorm : names.mlpPostNorm
    const normed = postNorm === undefined ? output : this.#norms.norm(output, `layers.${layer}.${part}_post_norm`)
    if (residualScale === 1) return normed
    return this.#graph.node('Mul', [normed, this.#graph.constant('f32', [], [residualScale])])
  }

  /** Tokens by the embedding, or by vectors of their own. */
  #embed(ids: Value): Value {
    const graph = this.#graph
    const embedded = this.#sites.addEmbedding(ids, graph.node('Gather', [this.#weights.get('embed'), ids]))
    if (!this.#spec.vectors) return embedded
    // Dimensions of their own: one zero and one one stand for calls without vectors.
    const keep = graph.input(IO.keep, 'f32', ['keep.rows', 1])
    const vectors = graph.input(IO.vectors, 'f32', ['vectors.rows', 'vectors.width'])
    return graph.node('Add', [graph.node('Mul', [embedded, keep]), vectors])
  }

  #logits(x: Value): Value {
    const { logitSoftcap } = this.#manifest.architecture
    const graph = this.#graph
    if (this.#sites.has('lm_head'))
      return graph.nodes('Identity', [this.#sites.addHead(x, this.#weights.linear('head', x))], [IO.logits])[0]!
    if (logitSoftcap === null) return this.#weights.linear('head', x, IO.logits)
    const cap = graph.constant('f32', [], [logitSoftcap])
    const bounded = graph.node('Tanh', [graph.node('Div', [this.#weights.linear('head', x), cap])])
    return graph.nodes('Mul', [bounded, cap], [IO.logits])[0]!
  }

  /** Adds a sublayer's result and the deltas of its residual sites; the last addition is left to the next norm. */
  #leaveSublayer(layer: number, part: 'attn' | 'mlp', stream: Value, result: Value): Stream {
    const graph = this.#graph
    const kinds = { in: `${part}_in`, out: `${part}_out`, after: `${part}_stream` } as const
    if (!this.#sites.has(kinds.in) && !this.#sites.has(kinds.out) && !this.#sites.has(kinds.after))
      return { stream, pending: result }
    const sum = graph.node('Add', [stream, result])
    let pending: Value | null = null
    for (let level = 0; level < this.#spec.depth; level++) {
      // A module further up the stack reads what those below it added; one beside the sublayer reads what the sublayer read.
      const above = (x: Value): Value => (pending === null ? x : graph.node('Add', [x, pending]))
      const deltas: (Value | null)[] = [
        this.#sites.residual(layer, kinds.in, level, stream),
        this.#sites.has(kinds.out) ? this.#sites.residual(layer, kinds.out, level, above(result)) : null,
        this.#sites.has(kinds.after) ? this.#sites.residual(layer, kinds.after, level, above(sum)) : null,
        pending,
      ]
      const present = deltas.filter((delta) => delta !== null)
      pending = present.length === 1 ? present[0]! : graph.node('Sum', present)
    }
    return { stream: sum, pending }
  }

  #mlp(layer: number, x: Value): Value {
    const { mlp, mlpKind, activation } = this.#manifest.architecture
    const graph = this.#graph
    let inner: Value
    if (mlpKind === 'plain') {
      const up = this.#sites.addLinear(layer, 'up_proj', x, this.#weights.linear(`layers.${layer}.up`, x))
      inner = activate(graph, activation, up)
    } else {
      const fused = this.#weights.linear(`layers.${layer}.gate_up`, x)
      const split = graph.nodes('Split', [fused, graph.constant('i64', [2], [mlp, mlp])], 2, { axis: -1 })
      const gate = this.#sites.addLinear(layer, 'gate_proj', x, split[0]!)
      const up = this.#sites.addLinear(layer, 'up_proj', x, split[1]!)
      inner = graph.node('Mul', [activate(graph, activation, gate), up])
    }
    const read = this.#sites.linearInput(layer, 'down_proj', inner)
    return this.#sites.addLinear(layer, 'down_proj', read, this.#weights.linear(`layers.${layer}.down`, read))
  }

  #declareCaches(first: number, end: number): void {
    const { kvHeads, headDim } = this.#manifest.architecture
    for (let layer = first; layer < end; layer++)
      for (const part of ['key', 'value'] as const)
        this.#graph.output(IO.present(layer, part) as Value, 'f32', ['batch', kvHeads, 'capacity', headDim])
  }
}
