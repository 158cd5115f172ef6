import { InferenceSession } from 'onnxruntime-node'
import { fusedBlocks } from '../model/fused-blocks.ts'
import type { WeightsOf } from '../model/graph/decoder.ts'
import { buildHead, buildLayer } from '../model/graph/decoder.ts'
import { MergedWeights, weightForm } from '../model/graph/merged-weights.ts'
import type { PreparedModel } from '../model/prepared.ts'

/** A compiled layer that stands for all of its kind; its caches are called as those of `layer`. */
interface LayerSession {
  readonly session: InferenceSession
  readonly layer: number
}

/** The compiled parts of a model with merged weights: one for every kind of layer, one for the head, with gains and without. */
export class MergedSessions {
  readonly #prepared: PreparedModel
  readonly #layers = new Map<string, LayerSession>()
  readonly #heads = new Map<boolean, InferenceSession>()

  constructor(prepared: PreparedModel) {
    this.#prepared = prepared
  }

  async layer(layer: number, gains: boolean): Promise<LayerSession> {
    const { manifest } = this.#prepared
    const { attention, ...architecture } = manifest.architecture
    const blocks = Object.keys(fusedBlocks(architecture))
    const forms = blocks.map((block) => weightForm(manifest, `layers.${layer}.${block}`))
    const key = JSON.stringify([attention.windows[layer], attention.ropes[layer], forms, gains])
    let found = this.#layers.get(key)
    if (found === undefined) {
      found = { layer, session: await this.#create(buildLayer(manifest, layer, this.#weights(gains))) }
      this.#layers.set(key, found)
    }
    return found
  }

  async head(gains: boolean): Promise<InferenceSession> {
    let session = this.#heads.get(gains)
    if (session === undefined) {
      session = await this.#create(buildHead(this.#prepared.manifest, this.#weights(gains)))
      this.#heads.set(gains, session)
    }
    return session
  }

  async release(): Promise<void> {
    for (const { session } of this.#layers.values()) await session.release()
    for (const session of this.#heads.values()) await session.release()
  }

  #weights(gains: boolean): WeightsOf {
    return (graph) => new MergedWeights(graph, this.#prepared.manifest, gains)
  }

  async #create(model: Uint8Array<ArrayBuffer>): Promise<InferenceSession> {
    return InferenceSession.create(model, {
      executionProviders: ['cpu'],
      enableMemPattern: false,
      // Requests need the others.
      intraOpNumThreads: 1,
      extra: { session: { model_external_initializers_file_folder_path: this.#prepared.dir } },
    })
  }
}
