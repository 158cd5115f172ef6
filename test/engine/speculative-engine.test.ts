import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { AdapterWeights, Branch } from '../../src/core/branch.ts'
import type { GenerationEvent, GenerationRequest, Sampling } from '../../src/core/generation.ts'
import { GREEDY } from '../../src/core/generation.ts'
import type { EngineOptions } from '../../src/core/messages.ts'
import type { ModelInfo } from '../../src/core/model-info.ts'
import { Engine } from '../../src/engine/engine.ts'
import { prepareModel } from '../../src/model/prepare.ts'
import { noise } from '../support/tiny-checkpoint.ts'

const CAPACITY = 96
/** With windows, with two tables of rotations, with learned positions, with norms of queries and keys. */
const FAMILIES = ['llama', 'mistral', 'gemma2', 'gemma3', 'phi3', 'gpt2', 'qwen3']

const cacheDir = mkdtempSync(join(tmpdir(), 'troupe-speculative-'))
afterAll(() => rmSync(cacheDir, { recursive: true }))

/** The model chooses among these only: soon it says again what it said before, and often goes on otherwise. */
const FEW = { 3: 50, 34: 50, 65: 50, 96: 50 }

/** A LoRA on one linear layer of each block. */
function lora({ linear, layers }: ModelInfo): AdapterWeights {
  const kind = linear.q_proj === undefined ? 'o_proj' : 'q_proj'
  const [inDim, outDim] = linear[kind]!
  const branches = Array.from({ length: layers }, (_, layer): Branch => {
    const weights = { down: noise(layer + 1, 4 * inDim), up: noise(layer + 9, 4 * outDim) }
    return { layer, kind, rank: 4, scale: 0.2, activation: 'identity', ...weights, a: null, c: null }
  })
  return { digest: 'lora', method: 'lora', branches, gains: [], virtualTokens: null, tokenRows: null, bytes: 0 }
}

/** Five virtual tokens. */
function prompt({ hidden }: ModelInfo): AdapterWeights {
  const virtualTokens = { type: 'embeddings' as const, count: 5, values: noise(3, 5 * hidden) }
  return {
    digest: 'prompt',
    method: 'prompt_tuning',
    branches: [],
    gains: [],
    virtualTokens,
    tokenRows: null,
    bytes: 0,
  }
}

/** Requests of every kind: what they ask for follows from their index. */
function requests(count: number, vocab: number): GenerationRequest[] {
  const penalties: Partial<Sampling> = { repetitionPenalty: 1.1, presencePenalty: 0.3, frequencyPenalty: 0.05 }
  const samplings = [{}, { logitBias: FEW }, penalties, { logitBias: FEW, ...penalties }, { temperature: 0.8, seed: 7 }]
  const mixes = [[], ['lora'], ['prompt']]
  return Array.from({ length: count }, (_, index): GenerationRequest => {
    const random = noise(index + 1, 64)
    const length = 2 + ((index * 7) % 34)
    const kinds = 2 + (index % 9)
    const tokens = Int32Array.from({ length }, (_, i) => Math.floor(Math.abs(random[i]!) * kinds) * 31 + 3)
    const stop = Math.floor(Math.abs(random[63]!) * vocab)
    return {
      tokens,
      mix: mixes[index % 3]!.map((digest) => ({ digest, scale: 1 })),
      sampling: { ...GREEDY, ...samplings[index % 5] },
      maxTokens: 1 + ((index * 13) % 50),
      stopTokens: index % 4 === 0 ? [stop, 3, 34] : [],
      logprobs: index % 7 === 0 ? 1 : null,
      promptLogprobs: index % 11 === 0,
      ...(index % 6 !== 0 && { tenant: 'acme' }),
    }
  })
}

interface Answer {
  readonly tokens: number[]
  readonly logprobs: number[]
  readonly end: GenerationEvent | undefined
}

async function answer(on: Engine, request: GenerationRequest): Promise<Answer> {
  const events: GenerationEvent[] = []
  for await (const event of on.generate(request)) events.push(event)
  const tokens = events.flatMap((event) => (event.type === 'token' ? [event] : []))
  return {
    tokens: tokens.map(({ token }) => token),
    logprobs: tokens.flatMap(({ logprob }) => logprob?.logprob ?? []),
    end: events.at(-1),
  }
}

function expectSame(found: Answer, expected: Answer): void {
  expect(found.tokens).toEqual(expected.tokens)
  expect(found.end).toEqual(expected.end)
  expect(found.logprobs).toHaveLength(expected.logprobs.length)
  for (const [i, value] of found.logprobs.entries()) expect(Math.abs(value - expected.logprobs[i]!)).toBeLessThan(1e-4)
}

describe.each(FAMILIES)('%s with speculative decoding', (family) => {
  let options: EngineOptions
  let plain: Engine
  let speculative: Engine
  let asked: readonly GenerationRequest[]
  let expected: readonly Answer[]

  beforeAll(async () => {
    const modelDir = join(import.meta.dirname, '../fixtures/conformance', family, 'model')
    const { dir, manifest } = await prepareModel({ modelDir, precision: 'f32', cacheDir })
    const sizes = {
      maxBatch: 8,
      maxContext: CAPACITY,
      prefillChunk: 16,
      bankBytes: 1e6,
      graphBytes: 1e9,
      prefixCacheBytes: 0,
    }
    options = { preparedDir: dir, device: 'cpu', ...sizes, speculation: 0, threads: 1 }
    plain = await Engine.start(options)
    speculative = await Engine.start({ ...options, speculation: 6 })
    for (const engine of [plain, speculative])
      for (const weights of [lora(manifest.info), prompt(manifest.info)]) engine.hold(weights)
    asked = requests(45, manifest.info.vocab)
    const answers: Answer[] = []
    for (const request of asked) answers.push(await answer(plain, request))
    expected = answers
  })
  afterAll(async () => {
    await plain.stop()
    await speculative.stop()
  })

  it('gives every request the same tokens, one after the other, whether it remembers the answer or not', async () => {
    for (let times = 0; times < 3; times++)
      for (const [i, request] of asked.entries()) expectSame(await answer(speculative, request), expected[i]!)
    const { draftedTokens, acceptedTokens } = await speculative.stats()
    expect(acceptedTokens).toBeGreaterThan(300)
    expect(draftedTokens).toBeGreaterThan(acceptedTokens)
  })

  it.each([2, 3, 8])('gives every request the same tokens, %i at once', async (atOnce) => {
    const { acceptedTokens: before } = await speculative.stats()
    for (let from = 0; from < asked.length; from += atOnce) {
      const lot = asked.slice(from, from + atOnce)
      const found = await Promise.all(lot.map((request) => answer(speculative, request)))
      for (const [i, each] of found.entries()) expectSame(each, expected[from + i]!)
    }
    const stats = await speculative.stats()
    expect(stats.acceptedTokens).toBeGreaterThan(before)
    expect([stats.running, stats.kvTokens]).toEqual([0, 0])
  })
})

describe('speculative decoding', () => {
  let options: EngineOptions
  const repeating = Int32Array.from({ length: 40 }, (_, i) => 3 + (i % 5))
  const sampling = { ...GREEDY, logitBias: FEW }
  const fixed = { mix: [], sampling, stopTokens: [], logprobs: 0, promptLogprobs: false, tenant: 'acme' }

  beforeAll(async () => {
    const modelDir = join(import.meta.dirname, '../fixtures/conformance/llama/model')
    const { dir } = await prepareModel({ modelDir, precision: 'f32', cacheDir })
    const sizes = {
      maxBatch: 2,
      maxContext: 192,
      prefillChunk: 16,
      bankBytes: 1e6,
      graphBytes: 1e9,
      prefixCacheBytes: 1e7,
    }
    options = { preparedDir: dir, device: 'cpu', ...sizes, speculation: 8, threads: 1 }
  })

  async function withEngine(changes: Partial<EngineOptions>, use: (engine: Engine) => Promise<void>): Promise<void> {
    const engine = await Engine.start({ ...options, ...changes })
    try {
      await use(engine)
    } finally {
      await engine.stop()
    }
  }

  it('keeps for the prefix cache what was accepted, and nothing else', async () => {
    const first = { ...fixed, tokens: repeating, maxTokens: 41 }
    let next: GenerationRequest | null = null
    let expected: Answer | null = null
    await withEngine({ speculation: 0, prefixCacheBytes: 0 }, async (plain) => {
      const { tokens } = await answer(plain, first)
      next = { ...fixed, tokens: Int32Array.from([...repeating, ...tokens, 7, 8, 9]), maxTokens: 30 }
      expected = await answer(plain, next)
    })
    await withEngine({}, async (engine) => {
      await answer(engine, first)
      expect((await engine.stats()).acceptedTokens).toBeGreaterThan(0)
      expectSame(await answer(engine, next!), expected!)
      expect((await engine.stats()).prefixFoundTokens).toBe(64)
    })
  })

  it('is cancelled between two calls and leaves nothing behind', async () => {
    const request = { ...fixed, tokens: repeating, maxTokens: 120 }
    await withEngine({}, async (engine) => {
      const expected = await answer(engine, request)
      for (const after of [1, 20, 60]) {
        const controller = new AbortController()
        const tokens: number[] = []
        let end: GenerationEvent | null = null
        for await (const event of engine.generate(request, controller.signal)) {
          if (event.type === 'token' && tokens.push(event.token) === after) controller.abort()
          end = event
        }
        expect(end).toMatchObject({ type: 'finish' })
        expect(tokens).toEqual(expected.tokens.slice(0, tokens.length))
        expect((await engine.stats()).kvTokens).toBe(0)
      }
      expectSame(await answer(engine, request), expected)
    })
  })

  it('uses a slot to its last token', async () => {
    const request = { ...fixed, tokens: repeating, maxTokens: 153 }
    await withEngine({}, async (engine) => {
      const { tokens, end } = await answer(engine, request)
      expect(tokens).toHaveLength(153)
      expect(end).toEqual({ type: 'finish', reason: 'length' })
    })
  })

  it('needs fewer calls where the model repeats itself', async () => {
    const request = { ...fixed, tokens: repeating, maxTokens: 100 }
    await withEngine({}, async (engine) => {
      await answer(engine, request)
      const { decodeSteps, acceptedTokens } = await engine.stats()
      expect(decodeSteps + acceptedTokens).toBe(99)
      expect(acceptedTokens).toBeGreaterThan(20)
    })
  })
})
