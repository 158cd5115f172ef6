import { setTimeout as sleep } from 'node:timers/promises'
import type { GenerationEvent, GenerationRequest, TokenLogprob } from '../../src/core/generation.ts'
import type { EngineStats } from '../../src/core/messages.ts'
import type { ModelInfo } from '../../src/core/model-info.ts'
import type { GenerationEngine } from '../../src/generation/ports.ts'
import { EOS, VOCAB, bytesOf, textOf } from './fake-text.ts'
import { FakeHost } from './fake-host.ts'
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
  vocab: VOCAB,
  maxContext: 200,
})

/** What the model answers; default: `<digests of the mix, or base>(<prompt>)`. */
export type Script = (request: GenerationRequest) => readonly number[]

/** Stands in for the engine: tokens come from a script, every sequence is recorded. Refuses versions that nobody holds. */
export class FakeEngine implements GenerationEngine {
  readonly info = FAKE_INFO
  /** The side that the registry sees. */
  readonly host = new FakeHost(FAKE_INFO)
  readonly requests: GenerationRequest[] = []
  /** Sequences whose generator has begun and not ended. */
  active = 0
  mostActive = 0
  cancelled = 0
  /** Pause before every token. */
  tokenMs = 0
  /** Fails every sequence after this many tokens. */
  failAfter = Infinity
  script: Script = (request) => bytesOf(`${mixLabel(request)}(${textOf(request.tokens)})`)

  async *generate(request: GenerationRequest, signal?: AbortSignal): AsyncGenerator<GenerationEvent, void, void> {
    for (const { digest } of request.mix) if (!this.host.held.has(digest)) throw new Error(`${digest} is not held`)
    this.requests.push(request)
    this.active += 1
    this.mostActive = Math.max(this.mostActive, this.active)
    let finished = false
    try {
      yield { type: 'started', queueMs: 2 }
      if (request.promptLogprobs)
        yield {
          type: 'prompt',
          logprobs: Array.from(request.tokens, (token, i) => (i === 0 ? null : fakeLogprob(token, request.logprobs))),
        }
      const answer = this.script(request)
      for (let i = 0; i < request.maxTokens; i++) {
        await pause(this.tokenMs, signal)
        if (signal?.aborted) return yield { type: 'finish', reason: 'cancelled' }
        if (i >= this.failAfter) return yield { type: 'finish', reason: 'error', message: 'the fake was told to fail' }
        const token = answer[i] ?? EOS
        if (request.stopTokens.includes(token)) {
          finished = true
          return yield { type: 'finish', reason: 'stop' }
        }
        yield { type: 'token', token, logprob: fakeLogprob(token, request.logprobs) }
      }
      finished = true
      yield { type: 'finish', reason: 'length' }
    } finally {
      this.active -= 1
      if (!finished) this.cancelled += 1
    }
  }

  generateEach(request: GenerationRequest, count: number, signal?: AbortSignal): AsyncIterable<GenerationEvent>[] {
    return Array.from({ length: count }, (_, i) => {
      const sampling = { ...request.sampling, seed: request.sampling.seed + i }
      return this.generate({ ...request, sampling }, signal)
    })
  }

  async stats(): Promise<EngineStats> {
    return {
      queued: 0,
      running: this.active,
      paused: 1,
      maxBatch: 8,
      pages: 100,
      pageTokens: 16,
      pagesFree: 60,
      pagesUsed: 30,
      pagesShared: 4,
      pagesCached: 10,
      kvBytes: 3200,
      kvTokens: 3,
      adapters: 2,
      adapterBytes: 1000,
      adapterLoads: 5,
      adapterLoadFailures: 1,
      weightBytes: 7000,
      scratchBytes: 500,
      prefixLookedUpTokens: 90,
      prefixFoundTokens: 64,
      prefixEvictions: 1,
      copiedPages: 6,
      pauses: 2,
      recomputedTokens: 12,
      steps: 11,
      stepTokens: 70,
      decodeRows: 22,
      promptTokens: 44,
      draftedTokens: 30,
      acceptedTokens: 20,
      masks: 6,
      maskHits: 60,
      maskSeconds: 0.125,
      stepSeconds: 0.5,
      busySeconds: 0.75,
    }
  }
}

/** `aaaa+bbbb`: the first four digits of the digests of a mix. */
function mixLabel(request: GenerationRequest): string {
  return request.mix.map(({ digest }) => digest.replace('sha256:', '').slice(0, 4)).join('+') || 'base'
}

/** The chosen token has -0.5, its successors in the vocabulary -1.5, -2.5 … */
function fakeLogprob(token: number, alternatives: number | null): TokenLogprob | null {
  if (alternatives === null) return null
  const top = Array.from({ length: alternatives }, (_, i) => ({ token: (token + i) % VOCAB, logprob: -0.5 - i }))
  return { token, logprob: -0.5, top }
}

async function pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
  await sleep(milliseconds, undefined, signal ? { signal } : {}).catch(() => {})
}
