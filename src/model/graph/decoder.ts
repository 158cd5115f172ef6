import { QUANT_BLOCK } from '../layout.ts'
import type { PreparedManifest } from '../prepared.ts'
import { WEIGHTS_FILE } from '../prepared.ts'
import type { Value } from '../onnx/graph-builder.ts'
import { GraphBuilder, MICROSOFT } from '../onnx/graph-builder.ts'
import { BranchSites } from './branches.ts'
import type { GraphSpec } from './spec.ts'
import { IO } from './spec.ts'

const QUANTISED_BITS = 4
/** int8 activations per block: the level with the fast kernel on CPUs. */
const QUANTISED_ACCURACY = 4

/**
 * The ONNX model of a prepared decoder-only transformer with the adapter sites of `spec`.
 * One graph serves prefill (`batch = 1`) and decode (`tokens = 1`); weights stay in `weights.bin`.
 * Output 0 is an empty sequence, so that nothing need be copied out (docs/engine.md, "Writing in place").
 */
export function buildDecoder(manifest: PreparedManifest, spec: GraphSpec): Uint8Array<ArrayBuffer> {
  return new Decoder(manifest, spec).build()
}

class Decoder {
  readonly #manifest: PreparedManifest
  readonly #graph = new GraphBuilder()
  readonly #sites: BranchSites
  readonly #weights = new Map<string, Value>()

  constructor(manifest: PreparedManifest, spec: GraphSpec) {
    this.#manifest = manifest
    this.#sites = new BranchSites(this.#graph, manifest.info, spec)
  }

  build(): Uint8Array<ArrayBuffer> {
    const graph = this.#graph
    const { layers, hidden, vocab } = this.#manifest.architecture
    graph.sequenceOutput(graph.nodes('SequenceEmpty', [], [IO.done], { dtype: 1 })[0]!)

    const ids = graph.input(IO.inputIds, 'i64', ['batch', 'tokens'])
    const lengths = {
      last: graph.input(IO.lastPosition, 'i32', ['batch']),
      total: graph.input(IO.totalLength, 'i32', []),
    }
    let stream = graph.node('Gather', [this.#weight('embed'), ids])
    let pending: Value | null = null
    for (let layer = 0; layer < layers; layer++) {
      const attnNorm = this.#addNorm(stream, pending, `layers.${layer}.attn_norm`)
      const attn = this.#attention(layer, attnNorm.normed, lengths)
      const afterAttn = this.#leaveSublayer(layer, 'attn', attnNorm.stream, attn)
      const mlpNorm = this.#addNorm(afterAttn.stream, afterAttn.pending, `layers.${layer}.mlp_norm`)
      const mlp = this.#mlp(layer, mlpNorm.normed)
      const afterMlp = this.#leaveSublayer(layer, 'mlp', mlpNorm.stream, mlp)
      stream = afterMlp.stream
      pending = afterMlp.pending
    }
    const rows = graph.input(IO.logitRows, 'i64', ['rows'])
    const flat = graph.node('Reshape', [
      pending === null ? stream : graph.node('Add', [stream, pending]),
      graph.constant('i64', [2], [-1, hidden]),
    ])
    const wanted = graph.node('Gather', [flat, rows])
    const logits = this.#linear('head', this.#norm(wanted, this.#weight('final_norm')), IO.logits)
    graph.output(logits, 'f32', ['rows', vocab])
    this.#declareCaches()
    return graph.build('troupe')
  }

  /** Adds what the last sublayer left and normalises; one fused node where there is something to add. */
  #addNorm(stream: Value, pending: Value | null, weight: string): { normed: Value; stream: Value } {
    if (pending === null) return { normed: this.#norm(stream, this.#weight(weight)), stream }
    const names = [`${weight}.out`, null, null, `${weight}.stream`]
    const epsilon = { float: this.#manifest.architecture.normEps }
    const [normed, , , sum] = this.#graph.nodes(
      'SkipSimplifiedLayerNormalization',
      [stream, pending, this.#weight(weight)],
      names,
      { epsilon },
      MICROSOFT,
    )
    return { normed: normed!, stream: sum! }
  }

  #norm(x: Value, weight: Value): Value {
    const epsilon = { float: this.#manifest.architecture.normEps }
    return this.#graph.node('SimplifiedLayerNormalization', [x, weight], { axis: -1, epsilon })
  }

  /** Adds a sublayer's result and the deltas of its residual sites; the last addition is left to the next norm. */
  #leaveSublayer(layer: number, part: 'attn' | 'mlp', stream: Value, result: Value): { stream: Value; pending: Value } {
    const graph = this.#graph
    const kinds = { in: `${part}_in`, out: `${part}_out`, after: `${part}_stream` } as const
    if (!this.#sites.has(kinds.in) && !this.#sites.has(kinds.out) && !this.#sites.has(kinds.after))
      return { stream, pending: result }
    const sum = graph.node('Add', [stream, result])
    const deltas = [
      this.#sites.residual(layer, kinds.in, stream),
      this.#sites.residual(layer, kinds.out, result),
      this.#sites.residual(layer, kinds.after, sum),
    ].filter((delta) => delta !== null)
    return { stream: sum, pending: deltas.length === 1 ? deltas[0]! : graph.node('Sum', deltas) }
  }

  #attention(layer: number, x: Value, lengths: { last: Value; total: Value }): Value {
    const { heads, kvHeads, headDim, qkNorm } = this.#manifest.architecture
    const graph = this.#graph
    const packed = this.#linear(`layers.${layer}.qkv`, x)
    const apart = qkNorm || (['q_proj', 'k_proj', 'v_proj'] as const).some((kind) => this.#sites.has(kind))
    let query: readonly (Value | null)[] = [packed, null, null]
    if (apart) {
      const widths = [heads * headDim, kvHeads * headDim, kvHeads * headDim]
      const split = graph.nodes('Split', [packed, graph.constant('i64', [3], widths)], 3, { axis: -1 })
      const q = this.#sites.addLinear(layer, 'q_proj', x, split[0]!)
      const k = this.#sites.addLinear(layer, 'k_proj', x, split[1]!)
      const v = this.#sites.addLinear(layer, 'v_proj', x, split[2]!)
      query = qkNorm ? [this.#headNorm(layer, 'q', q), this.#headNorm(layer, 'k', k), v] : [q, k, v]
    }
    const parts = ['key', 'value'] as const
    const shape = ['batch', kvHeads, 'capacity', headDim]
    const past = parts.map((part) => graph.input(IO.past(layer, part), 'f32', shape))
    const [attended] = graph.nodes(
      'GroupQueryAttention',
      [...query, ...past, lengths.last, lengths.total, this.#weight('rope.cos'), this.#weight('rope.sin')],
      [`layers.${layer}.attended`, ...parts.map((part) => IO.present(layer, part))],
      { num_heads: heads, kv_num_heads: kvHeads, do_rotary: 1 },
      MICROSOFT,
    )
    return this.#sites.addLinear(layer, 'o_proj', attended!, this.#linear(`layers.${layer}.o`, attended!))
  }

  /** RMS norm over every head of a query or key `[batch, tokens, heads · headDim]`. */
  #headNorm(layer: number, part: 'q' | 'k', x: Value): Value {
    const { heads, kvHeads, headDim } = this.#manifest.architecture
    const graph = this.#graph
    const count = part === 'q' ? heads : kvHeads
    const apart = graph.node('Reshape', [x, graph.constant('i64', [4], [0, 0, count, headDim])])
    const normed = this.#norm(apart, this.#weight(`layers.${layer}.${part}_norm`))
    return graph.node('Reshape', [normed, graph.constant('i64', [3], [0, 0, count * headDim])])
  }

  #mlp(layer: number, x: Value): Value {
    const { mlp } = this.#manifest.architecture
    const graph = this.#graph
    const fused = this.#linear(`layers.${layer}.gate_up`, x)
    const split = graph.nodes('Split', [fused, graph.constant('i64', [2], [mlp, mlp])], 2, { axis: -1 })
    const gate = this.#sites.addLinear(layer, 'gate_proj', x, split[0]!)
    const up = this.#sites.addLinear(layer, 'up_proj', x, split[1]!)
    const silu = graph.node('QuickGelu', [gate], { alpha: { float: 1 } }, MICROSOFT)
    const inner = graph.node('Mul', [silu, up])
    return this.#sites.addLinear(layer, 'down_proj', inner, this.#linear(`layers.${layer}.down`, inner))
  }

  /** A linear block of the prepared model, in whichever precision it was written. */
  #linear(block: string, x: Value, output?: string): Value {
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
      const inputs = [x, this.#weight(`${block}.q4`), this.#weight(`${block}.scales`)]
      y = graph.nodes('MatMulNBits', inputs, outputs, attributes, MICROSOFT)[0]!
    } else y = graph.nodes('MatMul', [x, this.#weight(`${block}.weight`)], outputs)[0]!
    if (!biased) return y
    return graph.nodes('Add', [y, this.#weight(`${block}.bias`)], output === undefined ? 1 : [output])[0]!
  }

  #inputWidth(block: string): number {
    const { hidden, heads, headDim, mlp } = this.#manifest.architecture
    if (block.endsWith('.o')) return heads * headDim
    return block.endsWith('.down') ? mlp : hidden
  }

  #weight(name: string): Value {
    let value = this.#weights.get(name)
    if (value === undefined) {
      const tensor = this.#manifest.tensors[name]
      if (tensor === undefined) throw new Error(`the prepared model lacks ${name}`)
      value = this.#graph.external(name, tensor.dtype, tensor.shape, { file: WEIGHTS_FILE, ...tensor })
      this.#weights.set(name, value)
    }
    return value
  }

  #declareCaches(): void {
    const { layers, kvHeads, headDim } = this.#manifest.architecture
    for (let layer = 0; layer < layers; layer++)
      for (const part of ['key', 'value'] as const)
        this.#graph.output(IO.present(layer, part) as Value, 'f32', ['batch', kvHeads, 'capacity', headDim])
  }
}
