import { InferenceSession } from 'onnxruntime-node'
import type { Architecture } from '../model/architecture.ts'
import type { WeightsOf } from '../model/graph/layer.ts'
import { buildHead, buildLayer } from '../model/graph/layer.ts'
import { MergedWeights } from './merged-weights.ts'

/** The compiled parts of a model with merged weights: one for every kind of layer, one for the head, with gains and without. */
export class MergedSessions {
  readonly #architecture: Architecture
  readonly #sessions = new Map<string, InferenceSession>()

  constructor(architecture: Architecture) {
    this.#architecture = architecture
  }

  async layer(layer: number, gains: boolean): Promise<InferenceSession> {
    const rope = this.#architecture.attention.ropes[layer] ?? null
    return this.#get(`layer, rope ${rope}, gains ${gains}`, () =>
      buildLayer(this.#architecture, layer, this.#weights(gains)),
    )
  }

  async head(gains: boolean): Promise<InferenceSession> {
    return this.#get(`head, gains ${gains}`, () => buildHead(this.#architecture, this.#weights(gains)))
  }

  async release(): Promise<void> {
    for (const session of this.#sessions.values()) await session.release()
  }

  #weights(gains: boolean): WeightsOf {
    return (graph) => new MergedWeights(graph, this.#architecture, gains)
  }

  async #get(key: string, build: () => Uint8Array<ArrayBuffer>): Promise<InferenceSession> {
    let session = this.#sessions.get(key)
    if (session === undefined) {
      // Requests need the other threads.
      const options = { executionProviders: ['cpu'], enableMemPattern: false, intraOpNumThreads: 1 }
      session = await InferenceSession.create(build(), options)
      this.#sessions.set(key, session)
    }
    return session
  }
}
