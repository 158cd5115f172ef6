import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import type { AdapterWeights } from '../../src/core/branch.ts'
import type { GenerationEvent, GenerationRequest, Sampling } from '../../src/core/generation.ts'
import { GREEDY } from '../../src/core/generation.ts'
import type { EngineOptions } from '../../src/core/messages.ts'
import type { KvFormat, ModelInfo, Precision } from '../../src/core/model-info.ts'
import { Engine } from '../../src/engine/engine.ts'
import { engineFor, loraFor } from '../support/engine-model.ts'
import { noise } from '../support/tiny-checkpoint.ts'

const cacheDir = mkdtempSync(join(tmpdir(), 'troupe-device-'))
afterAll(() => rmSync(cacheDir, { recursive: true }))

/** With windows, with two tables of rotations, with learned positions, with norms of queries and keys; every precision. */
const CASES: readonly (readonly [family: string, precision: Precision, kv: KvFormat])[] = [
  ['llama', 'f32', 'f32'],
  ['llama', 'bf16', 'bf16'],
  ['mistral', 'int8', 'bf16'],
  ['gemma2', 'f32', 'f32'],
  ['gemma3', 'int4', 'int8'],
  ['phi3', 'f32', 'f32'],
  ['gpt2', 'int4', 'bf16'],
  ['qwen3', 'int8', 'int8'],
]

/** The model chooses among these only: soon it says again what it said before, and often goes on otherwise. */
const FEW = { 3: 50, 34: 50, 65: 50, 96: 50 }

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

function prefix({ layers, kvHeads, headDim }: ModelInfo): AdapterWeights {
  const size = kvHeads * 18 * headDim
  const given = Array.from({ length: layers }, (_, i) => ({ keys: noise(i + 5, size), values: noise(i + 50, size) }))
  const virtualTokens = { type: 'keys_values' as const, count: 18, layers: given, usePositions: true }
  return {
    digest: 'prefix',
    method: 'prefix_tuning',
    branches: [],
    gains: [],
    virtualTokens,
    tokenRows: null,
    bytes: 0,
  }
}

/** Requests of every kind: what they ask for follows from their index. Some begin alike. */
function requests(count: number, vocab: number): GenerationRequest[] {
  const penalties: Partial<Sampling> = { repetitionPenalty: 1.1, presencePenalty: 0.3, frequencyPenalty: 0.05 }
  const samplings = [{}, { logitBias: FEW }, penalties, { logitBias: FEW, ...penalties }, { temperature: 0.8, seed: 7 }]
  const mixes = [[], ['lora'], ['prompt'], ['prefix'], ['lora', 'other']]
  return Array.from({ length: count }, (_, index): GenerationRequest => {
    const random = noise(index + 1, 64)
    const length = 2 + ((index * 7) % 34)
    const kinds = 2 + (index % 9)
    const own = Int32Array.from({ length }, (_, i) => Math.floor(Math.abs(random[i]!) * kinds) * 31 + 3)
    const tokens = index % 4 === 1 ? Int32Array.of(...Array.from({ length: 20 }, (_, i) => i * 5), ...own) : own
    const stop = Math.floor(Math.abs(random[63]!) * vocab)
    return {
      tokens,
      mix: mixes[index % mixes.length]!.map((digest) => ({ digest, scale: 1 })),
      sampling: { ...GREEDY, ...samplings[(index * 3) % samplings.length] },
      maxTokens: 1 + ((index * 29) % 90),
      stopTokens: index % 4 === 0 ? [stop, 3, 34] : [],
      logprobs: index % 7 === 0 ? 1 : null,
      promptLogprobs: index % 11 === 0,
      ...(index % 6 !== 0 && { tenant: 'acme' }),
    }
  })
}

/** Everything that was said, without how long it took and what could be reused. */
async function answer(on: Engine, request: GenerationRequest): Promise<GenerationEvent[]> {
  const events: GenerationEvent[] = []
  for await (const event of on.generate(request))
    if (event.type !== 'started' && event.type !== 'reused') events.push(event)
  return events
}

async function withEngine<T>(options: EngineOptions, info: ModelInfo, use: (engine: Engine) => Promise<T>): Promise<T> {
  const engine = await Engine.start(options)
  try {
    const versions = [loraFor(info, 'lora', 1, 0.2), loraFor(info, 'other', 2, 0.1), prompt(info), prefix(info)]
    for (const weights of versions) await engine.hold(weights)
    return await use(engine)
  } finally {
    await engine.stop()
  }
}

let pauses = 0
afterAll(() => expect(pauses).toBeGreaterThan(0))

describe.each(CASES)('%s in %s, keys and values in %s', (family, precision, kvFormat) => {
  it('answers to the last bit the same alone, batched, in chunks, paused, from shared pages, speculated', async () => {
    const { options: common, info } = await engineFor(family, cacheDir, precision)
    const options = { ...common, kvFormat, maxContext: Math.min(192, info.maxContext), kvPages: 200 }
    const asked = requests(30, info.vocab)
    const expected = await withEngine({ ...options, stepTokens: 128 }, info, async (engine) => {
      const answers: GenerationEvent[][] = []
      // Without a tenant nothing is shared: every prompt is evaluated in one chunk.
      for (const request of asked) answers.push(await answer(engine, { ...request, tenant: undefined }))
      return answers
    })
    const variants: Partial<EngineOptions>[] = [
      { stepTokens: 5, maxBatch: 4 },
      { speculation: 6, threads: 2 },
      { kvPages: 15, speculation: 3 },
    ]
    for (const variant of variants)
      await withEngine({ ...options, ...variant }, info, async (engine) => {
        expect(await Promise.all(asked.map((request) => answer(engine, request)))).toEqual(expected)
        // Once more, with what the first time left in the pages.
        for (const [i, request] of asked.slice(0, 8).entries())
          expect(await answer(engine, request)).toEqual(expected[i])
        const stats = await engine.stats()
        expect([stats.running, stats.pagesUsed]).toEqual([0, 0])
        expect(stats.prefixFoundTokens).toBeGreaterThan(0)
        if (variant.speculation !== undefined) expect(stats.acceptedTokens).toBeGreaterThan(10)
        if (variant.kvPages !== undefined) pauses += stats.pauses
        await engine.checkIntegrity()
      })
  })
})
