import type { InferenceSession } from 'onnxruntime-node'
import { Tensor } from 'onnxruntime-node'
import type { AdapterWeights } from '../core/branch.ts'
import { needsPositions } from '../model/architecture.ts'
import { kindDims } from '../model/families/modules.ts'
import { fusedBlocks } from '../model/fused-blocks.ts'
import { MERGE_IO, blockDims, weightForm, withoutLayer } from '../model/graph/merged-weights.ts'
import { IO } from '../model/graph/spec.ts'
import type { PreparedModel } from '../model/prepared.ts'
import type { MergePart } from './block-merge.ts'
import { AdapterMerge } from './block-merge.ts'
import type { BlockPart } from './block-reader.ts'
import { BlockReader } from './block-reader.ts'
import { MergedSessions } from './merged-sessions.ts'
import { PreparedTensors } from './prepared-tensors.ts'

type Feeds = Record<string, Tensor>

/** Weights of the head that are held at a time: 64 MiB of f32. */
const HEAD_ELEMENTS = 2 ** 24

/**
 * The prepared model with an adapter merged into its weights, evaluated layer by layer: no more than one layer is held in f32. Linear layers are
 * dense products in f32 of dequantised weights; the engine's branches, bank and kernels for quantised weights have no part in it.
 */
export class MergedModel {
  readonly #prepared: PreparedModel
  readonly #tensors: PreparedTensors
  readonly #reader: BlockReader
  readonly #sessions: MergedSessions

  constructor(prepared: PreparedModel) {
    this.#prepared = prepared
    this.#tensors = new PreparedTensors(prepared)
    this.#reader = new BlockReader(this.#tensors)
    this.#sessions = new MergedSessions(prepared)
  }

  /**
   * @param tokens at least two
   * @param adapter one whose effect can be merged (`notMergeable`); null = the base model
   * @returns natural logarithms of the probabilities of what follows each token but the last, `[tokens − 1, vocab]`
   */
  async logprobs(tokens: Int32Array, adapter: AdapterWeights | null): Promise<Float32Array<ArrayBuffer>> {
    const { layers, hidden, vocab } = this.#prepared.manifest.architecture
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
    const { hidden, positionOffset } = this.#prepared.manifest.architecture
    const stream = new Float32Array(tokens.length * hidden)
    for (const [i, token] of tokens.entries()) {
      const vector = stream.subarray(i * hidden, (i + 1) * hidden)
      this.#tensors.read('embed', vector, token * hidden)
      merge.embed(token, vector)
    }
    if (positionOffset === null) return stream
    const learned = new Float32Array(stream.length)
    this.#tensors.read('positions', learned)
    return stream.map((value, i) => value + learned[i]!)
  }

  async #layer(layer: number, stream: Float32Array, merge: AdapterMerge): Promise<Float32Array> {
    const { manifest } = this.#prepared
    const { architecture } = manifest
    const { session, layer: named } = await this.#sessions.layer(layer, merge.hasGains)
    const feeds = { ...this.#lengths(named, stream), ...this.#plain(session, `layers.${layer}.`) }
    for (const [block, kinds] of Object.entries(fusedBlocks(architecture))) {
      const [inDim, outDim] = blockDims(manifest, block)
      let start = 0
      const parts = kinds.map((kind): MergePart => {
        const width = kindDims(kind, architecture)[1]
        start += width
        return { kind, from: 0, start: start - width, width }
      })
      this.#addBlock(feeds, { block: `layers.${layer}.${block}`, inDim, outDim, first: 0, count: outDim }, parts, {
        merge,
        layer,
      })
    }
    const outputs = await session.run(feeds, [IO.nextStream])
    return outputs[IO.nextStream]!.data as Float32Array
  }

  /** @returns logits `[rows, vocab]` */
  async #head(stream: Float32Array, rows: number, merge: AdapterMerge): Promise<Float32Array<ArrayBuffer>> {
    const { hidden, vocab } = this.#prepared.manifest.architecture
    const session = await this.#sessions.head(merge.hasGains)
    const logits = new Float32Array(rows * vocab)
    const most = Math.max(1, Math.floor(HEAD_ELEMENTS / hidden))
    const fixed = { [IO.stream]: new Tensor('float32', stream, [rows, hidden]), ...this.#plain(session, '') }
    for (let first = 0; first < vocab; first += most) {
      const count = Math.min(most, vocab - first)
      const feeds = { ...fixed }
      const parts = [{ kind: 'lm_head', from: first, start: 0, width: count }] as const
      this.#addBlock(feeds, { block: 'head', inDim: hidden, outDim: vocab, first, count }, parts, { merge, layer: 0 })
      const piece = (await session.run(feeds, [IO.logits]))[IO.logits]!.data as Float32Array
      for (let row = 0; row < rows; row++)
        logits.set(piece.subarray(row * count, (row + 1) * count), row * vocab + first)
    }
    return logits
  }

  /** Weight and merge of a block, or of some of its outputs. */
  #addBlock(
    feeds: Feeds,
    part: BlockPart,
    parts: readonly MergePart[],
    { merge, layer }: { readonly merge: AdapterMerge; readonly layer: number },
  ): void {
    const { block, inDim, count } = part
    const role = withoutLayer(block)
    const { transposed } = weightForm(this.#prepared.manifest, block)
    const matrix = (values: Float32Array, rows: number, columns: number): Tensor =>
      new Tensor('float32', values, transposed ? [columns, rows] : [rows, columns])
    const { rank, down, up, bias, gainIn, gainOut } = merge.block(layer, parts, inDim, this.#reader.bias(part))
    feeds[MERGE_IO.weight(role)] = matrix(this.#reader.weight(part, role), count, inDim)
    feeds[MERGE_IO.down(role)] = new Tensor('float32', down, [rank, inDim])
    feeds[MERGE_IO.up(role)] = new Tensor('float32', up, [rank, count])
    feeds[MERGE_IO.bias(role)] = new Tensor('float32', bias, [count])
    if (!merge.hasGains) return
    feeds[MERGE_IO.gainIn(role)] = matrix(gainIn, 1, inDim)
    feeds[MERGE_IO.gainOut(role)] = matrix(gainOut, count, 1)
  }

  /** The inputs of a session that are tensors of the prepared model under the same name: norms. */
  #plain({ inputNames }: InferenceSession, prefix: string): Feeds {
    const found = inputNames.filter((name) => name.includes('norm'))
    return Object.fromEntries(
      found.map((name) => [
        name,
        new Tensor('float32', this.#tensors.floats(prefix + name), this.#tensors.shapeOf(prefix + name)),
      ]),
    )
  }

  /** The stream with what attention needs to know of it. */
  #lengths(layer: number, stream: Float32Array): Feeds {
    const { architecture } = this.#prepared.manifest
    const { hidden, kvHeads, headDim, longRope, maxContext } = architecture
    const count = stream.length / hidden
    const empty = (): Tensor =>
      new Tensor('float32', new Float32Array(kvHeads * count * headDim), [1, kvHeads, count, headDim])
    // The second table of a long rope lies below the first.
    const first = longRope !== null && count > longRope.length ? maxContext : 0
    const positions = BigInt64Array.from({ length: count }, (_, i) => BigInt(first + i))
    return {
      [IO.stream]: new Tensor('float32', stream, [count, hidden]),
      [IO.lastPosition]: new Tensor('int32', Int32Array.of(count - 1), [1]),
      [IO.totalLength]: new Tensor('int32', Int32Array.of(count), []),
      [IO.past(layer, 'key')]: empty(),
      [IO.past(layer, 'value')]: empty(),
      ...(needsPositions(architecture) && { [IO.positions]: new Tensor('int64', positions, [1, count]) }),
    }
  }
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
