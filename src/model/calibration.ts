import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import type { Architecture } from './architecture.ts'
import { fromBfloat16, toBfloat16 } from './float16.ts'
import { attentionFeeds } from './graph/attention-feeds.ts'
import { LAYER_IO, blockDims, buildLayer } from './graph/layer.ts'
import type { LayerWeights } from './graph/layer.ts'
import type { GraphBuilder, Value } from './onnx/graph-builder.ts'

/**
 * Random tokens that are evaluated, in one sequence where the model is long enough. Text would be a little better, and would have to be of the
 * model's language.
 */
const TOKENS = 1024

/** One layer of a checkpoint in f32. */
export interface PlainLayer {
  /** By block without the layer: rows `[outDim, inDim]` of all parts, and the bias `[outDim]` where there is one. */
  readonly blocks: Readonly<Record<string, { readonly rows: Float32Array; readonly bias: Float32Array | null }>>
  /** Norms by their names in the prepared model without the layer. */
  readonly norms: Readonly<Record<string, Float32Array>>
}

/** How much each input of a block matters, `[inDim]`: the mean square of its values. By block without the layer. */
export type Importances = Readonly<Record<string, Float32Array>>

/** Names of what a calibrated layer's graph takes and gives beside the stream. */
const IO = {
  weight: (block: string) => `${block}.weight`,
  bias: (block: string) => `${block}.bias`,
  squares: (block: string) => `${block}.squares`,
}

/**
 * Finds out which inputs of every linear block matter, by evaluating random tokens layer by layer with the checkpoint's own weights: rounding
 * can then be careful with those. Not more than one layer is held.
 */
export class Calibration {
  readonly #architecture: Architecture
  readonly #readEmbedding: (token: number, into: Float32Array) => void
  readonly #sessions = new Map<string, InferenceSession>()
  /** Tokens of one sequence. */
  readonly #length: number
  /** Of all tokens, `[TOKENS, hidden]`, before the layer that comes next. */
  #stream: Float32Array | null = null

  /** @param readEmbedding fills an array with what a token enters the first layer as, learned position aside */
  constructor(architecture: Architecture, readEmbedding: (token: number, into: Float32Array) => void) {
    this.#architecture = architecture
    this.#readEmbedding = readEmbedding
    this.#length = Math.min(TOKENS, 2 ** Math.floor(Math.log2(architecture.maxContext)))
  }

  /**
   * Goes through one layer; layers must come in order.
   *
   * @param folder where what the next layer reads is kept, so that a later process can go on from there
   * @param positions table of learned positions, `[positions, hidden]`
   */
  async layer(layer: number, plain: PlainLayer, folder: string, positions: Float32Array | null): Promise<Importances> {
    const { hidden } = this.#architecture
    this.#stream ??= layer === 0 ? this.#begin(positions) : await readStream(folder, layer)
    const session = await this.#session(layer, plain)
    const sums: Record<string, Float64Array> = {}
    const next = new Float32Array(this.#stream.length)
    for (let start = 0; start < this.#stream.length; start += this.#length * hidden) {
      const piece = this.#stream.subarray(start, start + this.#length * hidden)
      const outputs = await session.run(this.#feeds(layer, plain, piece))
      next.set(outputs[LAYER_IO.nextStream]!.data as Float32Array, start)
      for (const block of Object.keys(plain.blocks)) {
        const squares = outputs[IO.squares(block)]!.data as Float32Array
        const sum = (sums[block] ??= new Float64Array(squares.length))
        for (let i = 0; i < sum.length; i++) sum[i]! += squares[i]!
      }
    }
    this.#stream = next
    await writeFile(streamPath(folder, layer + 1), new Uint8Array(next.buffer))
    // The one before is needed until this layer is on disk.
    await rm(streamPath(folder, layer - 1), { force: true })
    return Object.fromEntries(Object.entries(sums).map(([block, sum]) => [block, importances(sum)]))
  }

  async close(): Promise<void> {
    for (const session of this.#sessions.values()) await session.release()
  }

  #begin(positions: Float32Array | null): Float32Array {
    const { hidden, vocab, embedScale } = this.#architecture
    const stream = new Float32Array(TOKENS * hidden)
    const random = xorshift(1)
    for (let i = 0; i < TOKENS; i++) {
      const vector = stream.subarray(i * hidden, (i + 1) * hidden)
      this.#readEmbedding(random() % vocab, vector)
      const position = i % this.#length
      for (let c = 0; c < hidden; c++)
        vector[c] = vector[c]! * embedScale + (positions === null ? 0 : positions[position * hidden + c]!)
    }
    return stream
  }

  async #session(layer: number, { blocks }: PlainLayer): Promise<InferenceSession> {
    const rope = this.#architecture.attention.ropes[layer] ?? null
    const biased = Object.keys(blocks).filter((block) => blocks[block]!.bias !== null)
    const key = JSON.stringify([rope, biased])
    let session = this.#sessions.get(key)
    if (session === undefined) {
      const graph = buildLayer(this.#architecture, layer, (builder) => new Watched(builder, this.#architecture, biased))
      session = await InferenceSession.create(graph, { executionProviders: ['cpu'], enableMemPattern: false })
      this.#sessions.set(key, session)
    }
    return session
  }

  #feeds(layer: number, { blocks, norms }: PlainLayer, stream: Float32Array): Record<string, Tensor> {
    const { hidden } = this.#architecture
    const feeds: Record<string, Tensor> = {
      [LAYER_IO.stream]: new Tensor('float32', stream, [this.#length, hidden]),
      ...attentionFeeds(this.#architecture, layer, this.#length),
    }
    for (const [name, values] of Object.entries(norms)) feeds[name] = new Tensor('float32', values, [values.length])
    for (const [block, { rows, bias }] of Object.entries(blocks)) {
      const [inDim, outDim] = blockDims(this.#architecture, block)
      feeds[IO.weight(block)] = new Tensor('float32', rows, [outDim, inDim])
      if (bias !== null) feeds[IO.bias(block)] = new Tensor('float32', bias, [outDim])
    }
    return feeds
  }
}

/** Plain products that also give the sums of the squares of what they read. */
class Watched implements LayerWeights {
  readonly #graph: GraphBuilder
  readonly #architecture: Architecture
  readonly #biased: readonly string[]

  constructor(graph: GraphBuilder, architecture: Architecture, biased: readonly string[]) {
    this.#graph = graph
    this.#architecture = architecture
    this.#biased = biased
  }

  linear(block: string, x: Value, output?: string): Value {
    const graph = this.#graph
    const [inDim, outDim] = blockDims(this.#architecture, block)
    const inputs = [x, graph.input(IO.weight(block), 'f32', [outDim, inDim])]
    if (this.#biased.includes(block)) inputs.push(graph.input(IO.bias(block), 'f32', [outDim]))
    const axes = graph.constant('i64', [1], [0])
    const [squares] = graph.nodes('ReduceSumSquare', [x, axes], [IO.squares(block)], { keepdims: 0 })
    graph.output(squares!, 'f32', [inDim])
    return graph.nodes('Gemm', inputs, output === undefined ? 1 : [output], { transB: 1 })[0]!
  }
}

/** Means of squares, rounded to bf16 so that the last bits of a machine's sums do not change what is written. */
function importances(sum: Float64Array): Float32Array {
  return Float32Array.from(sum, (value) => fromBfloat16(toBfloat16(value / TOKENS)))
}

function streamPath(folder: string, layer: number): string {
  return join(folder, `stream-${layer}.f32`)
}

async function readStream(folder: string, layer: number): Promise<Float32Array> {
  const bytes = await readFile(streamPath(folder, layer))
  return new Float32Array(new Uint8Array(bytes).buffer)
}

/** Marsaglia's xorshift32 (2003): whole numbers from 1 to 2³² − 1, the same ones every time. */
function xorshift(seed: number): () => number {
  let state = seed
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>>= 0)
  }
}
