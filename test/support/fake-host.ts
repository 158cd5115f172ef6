import type { AdapterWeights } from '../../src/core/branch.ts'
import type { GenerationEvent, GenerationRequest } from '../../src/core/generation.ts'
import type { ModelInfo } from '../../src/core/model-info.ts'
import type { AdapterHost } from '../../src/engine/engine.ts'
import { tinyInfo } from './tiny-model.ts'

export const FAKE_INFO: ModelInfo = tinyInfo({
  name: 'fake-base',
  fingerprint: `sha256:${'f'.repeat(64)}`,
  precision: 'f32',
  layers: 2,
  hidden: 8,
  heads: 2,
  kvHeads: 1,
  headDim: 4,
  vocab: 100,
  maxContext: 256,
})

/**
 * An engine without a model: every log-probability is -3 plus the sum of the mix's effects, where an adapter's effect is the first
 * value of its first branch. Refuses, by throwing, a hold or drop that a real engine could not survive.
 */
export class FakeHost implements AdapterHost {
  readonly info: ModelInfo
  readonly maxContext: number = 64
  readonly held = new Map<string, AdapterWeights>()
  holds = 0
  drops = 0
  /** Makes holds fail with this error. */
  refusal: string | null = null
  /** What a version takes. */
  bytesOf: (weights: AdapterWeights) => number = ({ bytes }) => bytes
  /** Makes the next runs end with this error. */
  failure: string | null = null

  constructor(info: ModelInfo = FAKE_INFO) {
    this.info = info
  }

  async hold(weights: AdapterWeights): Promise<number> {
    await Promise.resolve()
    if (this.refusal !== null) throw new Error(this.refusal)
    this.holds++
    this.held.set(weights.digest, weights)
    return this.bytesOf(weights)
  }

  drop(digest: string): void {
    this.drops++
    if (!this.held.delete(digest)) throw new Error(`${digest} was dropped without being held`)
  }

  async *generate(request: GenerationRequest): AsyncGenerator<GenerationEvent, void, void> {
    await Promise.resolve()
    if (this.failure !== null) {
      yield { type: 'finish', reason: 'error', message: this.failure }
      return
    }
    const effects = request.mix.map(({ digest, scale }) => {
      const weights = this.held.get(digest)
      if (!weights) throw new Error(`${digest} is not held`)
      return scale * (weights.branches[0]?.down[0] ?? 0)
    })
    const logprob = effects.reduce((sum, effect) => sum + effect, -3)
    yield { type: 'started', queueMs: 0 }
    const position = (token: number): { token: number; logprob: number; top: { token: number; logprob: number }[] } => {
      return { token, logprob, top: [{ token: (token + 1) % this.info.vocab, logprob }] }
    }
    const logprobs = [...request.tokens].map((token, index) => (index === 0 ? null : position(token)))
    if (request.promptLogprobs) yield { type: 'prompt', logprobs }
    yield { type: 'finish', reason: 'length' }
  }
}
