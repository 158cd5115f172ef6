import type { AdapterWeights, VirtualTokens } from '../../src/core/branch.ts'
import type { GenerationEvent, GenerationRequest } from '../../src/core/generation.ts'
import { GREEDY } from '../../src/core/generation.ts'
import type { LoopOptions } from '../../src/engine/engine-loop.ts'
import { EngineLoop } from '../../src/engine/engine-loop.ts'
import { FairShare } from '../../src/engine/policy/fair-share.ts'
import { SimulatedDevice } from './simulated-device.ts'
import { tinyInfo } from './tiny-model.ts'

const VOCAB = 48

/** What a request came to. */
export interface Outcome {
  readonly tokens: number[]
  readonly logprobs: number[]
  prompt: readonly (number | null)[] | null
  reused: number
  end: GenerationEvent | null
}

/** An engine loop over the simulated device, whose books are checked after every step. */
export class LoopDriver {
  readonly device: SimulatedDevice
  readonly loop: EngineLoop
  readonly outcomes = new Map<number, Outcome>()
  readonly faults: unknown[] = []
  /** Called with every event. */
  onEvent: (id: number, event: GenerationEvent) => void = () => {}
  #nextId = 1

  constructor(options: Partial<LoopOptions> & { readonly kvPages?: number } = {}) {
    const { kvPages = 200, ...changes } = options
    this.device = new SimulatedDevice({ vocab: VOCAB, kvPages })
    const fixed = {
      maxBatch: 16,
      maxContext: 400,
      stepTokens: 64,
      speculation: 0,
      policy: new FairShare(),
      ropeLimit: null,
    }
    const info = tinyInfo({ vocab: VOCAB, fingerprint: 'sha256:simulated' })
    this.loop = new EngineLoop(
      info,
      this.device,
      { ...fixed, ...changes },
      {
        sequence: (id, event) => this.#note(id, event),
        fault: (error) => this.faults.push(error),
      },
    )
  }

  /** @returns ids, one for each of `count` sequences */
  submit(request: Partial<GenerationRequest>, count = 1): number[] {
    const ids = Array.from({ length: count }, () => this.#nextId++)
    for (const id of ids) this.outcomes.set(id, { tokens: [], logprobs: [], prompt: null, reused: 0, end: null })
    this.loop.submit(ids, requestOf(request))
    return ids
  }

  tick(): void {
    this.loop.tick()
    this.loop.checkIntegrity()
  }

  /** Steps until nothing is left to do. */
  run(most = 20_000): void {
    for (let steps = 0; !this.loop.idle; steps++) {
      if (steps === most) throw new Error(`not done after ${most} steps: ${JSON.stringify(this.loop.stats())}`)
      this.tick()
    }
  }

  /** The outcome of one request that runs alone. */
  ask(request: Partial<GenerationRequest>): Outcome {
    const [id] = this.submit(request)
    this.run()
    return this.outcomes.get(id!)!
  }

  #note(id: number, event: GenerationEvent): void {
    const outcome = this.outcomes.get(id)!
    if (outcome.end !== null) throw new Error(`an event after the end of ${id}: ${event.type}`)
    if (event.type === 'token') {
      outcome.tokens.push(event.token)
      if (event.logprob !== null) outcome.logprobs.push(event.logprob.logprob)
    } else if (event.type === 'reused') outcome.reused += event.tokens
    else if (event.type === 'prompt') outcome.prompt = event.logprobs.map((entry) => entry?.logprob ?? null)
    else if (event.type === 'finish') outcome.end = event
    this.onEvent(id, event)
  }
}

/** A greedy request of one tenant, with what is not said filled in. */
export function requestOf(changes: Partial<GenerationRequest>): GenerationRequest {
  return {
    tokens: Int32Array.of(5, 6, 7, 8),
    mix: [],
    sampling: GREEDY,
    maxTokens: 12,
    stopTokens: [],
    logprobs: null,
    promptLogprobs: false,
    tenant: 'acme',
    ...changes,
  }
}

/** `length` tokens that follow from `seed`. */
export function promptOf(length: number, seed: number): Int32Array {
  return Int32Array.from({ length }, (_, i) => ((i + 3) * (seed * 7 + 11) + (i % 5) * seed) % VOCAB)
}

/** A version without weights: the simulated device looks at its digest only. */
export function version(digest: string, virtualTokens: VirtualTokens | null = null): AdapterWeights {
  return { digest, method: 'lora', branches: [], gains: [], virtualTokens, tokenRows: null, bytes: 100 }
}
