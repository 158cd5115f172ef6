import { InferenceSession, Tensor } from 'onnxruntime-node'
import { exactByteSums } from '../../src/engine/byte-sums.ts'
import { needsPositions } from '../../src/model/architecture.ts'
import { buildDecoder } from '../../src/model/graph/decoder.ts'
import { BASE_SPEC, IO } from '../../src/model/graph/spec.ts'
import type { PreparedModel } from '../../src/model/prepared.ts'

/** Evaluates whole windows of tokens with the graph that the engine runs, and keeps the logits of every position. */
export class WindowLogits {
  readonly #prepared: PreparedModel
  readonly #session: InferenceSession

  private constructor(prepared: PreparedModel, session: InferenceSession) {
    this.#prepared = prepared
    this.#session = session
  }

  static async open(prepared: PreparedModel): Promise<WindowLogits> {
    const session = await InferenceSession.create(buildDecoder(prepared.manifest, BASE_SPEC, 'dense'), {
      enableMemPattern: false,
      intraOpNumThreads: 1,
      extra: { session: { model_external_initializers_file_folder_path: prepared.dir, ...(await exactByteSums()) } },
    })
    return new WindowLogits(prepared, session)
  }

  /** @returns logits `[tokens, vocab]` */
  async of(tokens: readonly number[]): Promise<Float32Array> {
    const { info, architecture } = this.#prepared.manifest
    const count = tokens.length
    const ids = BigInt64Array.from(tokens, BigInt)
    const order = BigInt64Array.from(tokens, (_, i) => BigInt(i))
    const cache = [1, info.kvHeads, count, info.headDim]
    const size = info.kvHeads * count * info.headDim
    const parts = Array.from({ length: info.layers }, (_, layer) =>
      (['key', 'value'] as const).map((part) => ({ past: IO.past(layer, part), present: IO.present(layer, part) })),
    ).flat()
    const caches = parts.map(({ past }) => [past, new Tensor('float32', new Float32Array(size), cache)])
    const feeds: Record<string, Tensor> = {
      [IO.inputIds]: new Tensor('int64', ids, [1, count]),
      [IO.lastPosition]: new Tensor('int32', Int32Array.of(count - 1), [1]),
      [IO.totalLength]: new Tensor('int32', Int32Array.of(count), []),
      [IO.logitRows]: new Tensor('int64', order, [count]),
      ...(needsPositions(architecture) && { [IO.positions]: new Tensor('int64', order, [1, count]) }),
      ...(Object.fromEntries(caches) as Record<string, Tensor>),
    }
    const presents = parts.map(({ present }) => present)
    const outputs = await this.#session.run(feeds, [IO.logits, ...presents])
    return outputs[IO.logits]!.data as Float32Array
  }

  async close(): Promise<void> {
    await this.#session.release()
  }
}
