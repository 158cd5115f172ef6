import type { InferenceSession } from 'onnxruntime-node'
import { Tensor } from 'onnxruntime-node'
import type { AdapterWeights } from '../core/branch.ts'
import type { Architecture } from '../model/architecture.ts'
import { kindDims } from '../model/families/modules.ts'
import { fusedBlocks } from '../model/fused-blocks.ts'
import { attentionFeeds } from '../model/graph/attention-feeds.ts'
import { LAYER_IO, blockDims } from '../model/graph/layer.ts'
import type { PreparedModel } from '../model/prepared.ts'
import { TILE } from '../model/tiles.ts'
import type { BlockMerge, MergePart } from './block-merge.ts'
import { AdapterMerge } from './block-merge.ts'
import { BlockReader } from './block-reader.ts'
import { MERGE_IO } from './merged-weights.ts'
import { MergedSessions } from './merged-sessions.ts'
import { PreparedTensors } from './prepared-tensors.ts'

type Feeds = Record<string, Tensor>

/** Weights of the head that are held at a time: 64 MiB of f32. */
const HEAD_ELEMENTS = 2 ** 24

/**
 * The prepared model with an adapter merged into its weights, evaluated layer by layer: no more than one layer is held in f32. Linear layers are
 * dense products in f32 of dequantised weights; the engine's branches and kernels have no part in it.
 */
export class MergedModel {
  readonly #architecture: Architecture
  readonly #tensors: PreparedTensors
  readonly #reader: BlockReader
  readonly #sessions: MergedSessions
  readonly #buffers = new Map<string, Float32Array>()

  constructor(prepared: PreparedModel) {
    this.#architecture = prepared.manifest.architecture
    this.#tensors = new PreparedTensors(prepared)
    this.#reader = new BlockReader(this.#tensors)
    this.#sessions = new MergedSessions(this.#architecture)
  }

  /**
   * @param tokens at least two
   * @param adapter one whose effect can be merged (`notMergeable`); null = the base model
   * @returns natural logarithms of the probabilities of what follows each token but the last, `[tokens − 1, vocab]`
   */
  async logprobs(tokens: Int32Array, adapter: AdapterWeights | null): Promise<Float32Array<ArrayBuffer>> {
    const { layers, hidden, vocab } = this.#architecture
    const merge = new AdapterMerge(adapter)
    let stream = this.#embed(tokens, merge)
    for (let layer = 0; layer < layers; layer++) stream = await this.#layer(layer, stream, merge)
    const rows = tokens.length - 1
    const logits = await this.#head(stream.subarray(0, rows * hidden), rows, merge)
    for (let row = 0; row < rows; row++) normalise(logits.subarray(row * vocab, (row + 1) * vocab))
    return logits
  }

  async close(): Promise<void> {
    await this.#sessions.release()
    this.#tensors.close()
  }

  /** `[tokens, hidden]` */
  #embed(tokens: Int32Array, merge: AdapterMerge): Float32Array {
    const { hidden, positionOffset, embedScale } = this.#architecture
    const stream = new Float32Array(tokens.length * hidden)
    const embeds = this.#tensors.has('embed')
    for (const [i, token] of tokens.entries()) {
      const vector = stream.subarray(i * hidden, (i + 1) * hidden)
      if (embeds) vector.set(this.#tensors.widened('embed', token * hidden, hidden))
      else this.#reader.row('head', token, vector)
      if (embedScale !== 1) for (let c = 0; c < hidden; c++) vector[c]! *= embedScale
      merge.embed(token, vector)
    }
    if (positionOffset === null) return stream
    const learned = this.#tensors.widened('positions', 0, stream.length)
    return stream.map((value, i) => value + learned[i]!)
  }

  async #layer(layer: number, stream: Float32Array, merge: AdapterMerge): Promise<Float32Array> {
    const { hidden } = this.#architecture
    const tokens = stream.length / hidden
    const session = await this.#sessions.layer(layer, merge.hasGains)
    const feeds: Feeds = {
      [LAYER_IO.stream]: new Tensor('float32', stream, [tokens, hidden]),
      ...attentionFeeds(this.#architecture, layer, tokens),
      ...this.#norms(session, `layers.${layer}.`),
    }
    for (const [block, kinds] of Object.entries(fusedBlocks(this.#architecture))) {
      const [inDim, outDim] = blockDims(this.#architecture, block)
      const weight = this.#buffer(block, outDim * inDim)
      const parts: MergePart[] = []
      let [firstTile, start] = [0, 0]
      for (const kind of kinds) {
        const width = kindDims(kind, this.#architecture)[1]
        const part = { block: `layers.${layer}.${block}`, inDim, firstTile, first: 0, count: width }
        this.#reader.rows(part, weight.subarray(start * inDim, (start + width) * inDim))
        parts.push({ kind, from: 0, start, width })
        firstTile += Math.ceil(width / TILE)
        start += width
      }
      const bias = this.#reader.bias(`layers.${layer}.${block}`, 0, outDim)
      addBlock(feeds, block, weight, merge.block(layer, parts, inDim, bias), merge.hasGains)
    }
    const outputs = await session.run(feeds, [LAYER_IO.nextStream])
    return outputs[LAYER_IO.nextStream]!.data as Float32Array
  }

  /** @returns logits `[rows, vocab]` */
  async #head(stream: Float32Array, rows: number, merge: AdapterMerge): Promise<Float32Array<ArrayBuffer>> {
    const { hidden, vocab } = this.#architecture
    const session = await this.#sessions.head(merge.hasGains)
    const logits = new Float32Array(rows * vocab)
    const most = TILE * Math.max(1, Math.floor(HEAD_ELEMENTS / hidden / TILE))
    const input = new Tensor('float32', stream, [rows, hidden])
    for (let first = 0; first < vocab; first += most) {
      const count = Math.min(most, vocab - first)
      const feeds: Feeds = { [LAYER_IO.stream]: input, ...this.#norms(session, '') }
      const weight = this.#buffer('head', count * hidden)
      this.#reader.rows({ block: 'head', inDim: hidden, firstTile: 0, first, count }, weight)
      const part: MergePart = { kind: 'lm_head', from: first, start: 0, width: count }
      const merged = merge.block(0, [part], hidden, this.#reader.bias('head', first, count))
      addBlock(feeds, 'head', weight, merged, merge.hasGains)
      const piece = (await session.run(feeds, [LAYER_IO.logits]))[LAYER_IO.logits]!.data as Float32Array
      for (let row = 0; row < rows; row++)
        logits.set(piece.subarray(row * count, (row + 1) * count), row * vocab + first)
    }
    return logits
  }

  /** The inputs of a session that are tensors of the prepared model under the same name. */
  #norms({ inputNames }: InferenceSession, prefix: string): Feeds {
    const found = inputNames.filter((name) => name.includes('norm'))
    return Object.fromEntries(
      found.map((name) => [
        name,
        new Tensor('float32', this.#tensors.floats(prefix + name), this.#tensors.shapeOf(prefix + name)),
      ]),
    )
  }

  /** Memory that is used again for every layer. */
  #buffer(block: string, length: number): Float32Array {
    let buffer = this.#buffers.get(block)
    if (buffer === undefined || buffer.length < length) this.#buffers.set(block, (buffer = new Float32Array(length)))
    return buffer.subarray(0, length)
  }
}

/** Weight and merge of a block. */
function addBlock(feeds: Feeds, block: string, weight: Float32Array, merge: BlockMerge, gains: boolean): void {
  const { rank, down, up, bias, gainIn, gainOut } = merge
  const [inDim, outDim] = [gainIn.length, gainOut.length]
  feeds[MERGE_IO.weight(block)] = new Tensor('float32', weight, [outDim, inDim])
  feeds[MERGE_IO.down(block)] = new Tensor('float32', down, [rank, inDim])
  feeds[MERGE_IO.up(block)] = new Tensor('float32', up, [rank, outDim])
  feeds[MERGE_IO.bias(block)] = new Tensor('float32', bias, [outDim])
  if (!gains) return
  feeds[MERGE_IO.gainIn(block)] = new Tensor('float32', gainIn, [1, inDim])
  feeds[MERGE_IO.gainOut(block)] = new Tensor('float32', gainOut, [outDim, 1])
}

/** Logits to natural logarithms of probabilities, in place. */
function normalise(row: Float32Array): void {
  let largest = -Infinity
  for (let i = 0; i < row.length; i++) if (row[i]! > largest) largest = row[i]!
  let sum = 0
  for (let i = 0; i < row.length; i++) sum += Math.exp(row[i]! - largest)
  const shift = largest + Math.log(sum)
  for (let i = 0; i < row.length; i++) row[i]! -= shift
}
