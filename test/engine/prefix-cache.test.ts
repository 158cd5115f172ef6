import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { AdapterWeights, Branch } from '../../src/core/branch.ts'
import type { GenerationRequest } from '../../src/core/generation.ts'
import { GREEDY } from '../../src/core/generation.ts'
import type { EngineOptions } from '../../src/core/messages.ts'
import { Engine } from '../../src/engine/engine.ts'
import type { KvLayers } from '../../src/engine/kv-cache.ts'
import { PREFIX_BLOCK, PrefixCache } from '../../src/engine/prefix-cache.ts'
import { prepareModel } from '../../src/model/prepare.ts'
import { noise } from '../support/tiny-checkpoint.ts'

const SHAPE = { layers: 1, kvHeads: 1, headDim: 2 }
const BLOCK_BYTES = 2 * PREFIX_BLOCK * 2 * 4

function request(changes: Partial<GenerationRequest> = {}): GenerationRequest {
  const fixed = { sampling: GREEDY, maxTokens: 12, stopTokens: [], logprobs: 0, promptLogprobs: false }
  return { tokens: tokens(80), mix: [], tenant: 'acme', ...fixed, ...changes }
}

/** `length` tokens; the first ones are the same for all. */
function tokens(length: number, last = 7): Int32Array {
  return Int32Array.from({ length }, (_, i) => (i === length - 1 ? last : (i * 37 + 11) % 300))
}

describe('PrefixCache', () => {
  /** A block that says where it was read from. */
  const read = (start: number): KvLayers => [{ keys: Float32Array.of(start), values: Float32Array.of(start) }]
  const starts = (found: readonly KvLayers[]): number[] => found.map(([layer]) => layer!.keys[0]!)

  it('finds the whole blocks that two prompts have in common', () => {
    const cache = new PrefixCache('base', SHAPE, 1e6)
    cache.keep(request(), tokens(80), '', read)
    expect(starts(cache.find(request(), tokens(80), ''))).toEqual([0, 32])
    expect(starts(cache.find(request(), tokens(33, 5), ''))).toEqual([0])
    expect(starts(cache.find(request(), tokens(31), ''))).toEqual([])
    const other = tokens(80)
    other[40] = 1
    expect(starts(cache.find(request(), other, ''))).toEqual([0])
    other[0] = 1
    expect(starts(cache.find(request(), other, ''))).toEqual([])
    expect(cache.counters).toEqual({ lookedUp: 80 + 33 + 31 + 80 + 80, found: 64 + 32 + 32, evictions: 0 })
  })

  it.each<[string, Partial<GenerationRequest>]>([
    ['of another tenant', { tenant: 'globex' }],
    ['without a tenant', { tenant: undefined }],
    ['with another adapter', { mix: [{ digest: 'sha256:1', scale: 1 }] }],
    ['with another scale', { mix: [{ digest: 'sha256:0', scale: 2 }] }],
    ['with a stack', { mix: [{ digest: 'sha256:0', scale: 1 }], stack: true }],
  ])('finds nothing for a request %s', (_, changes) => {
    const cache = new PrefixCache('base', SHAPE, 1e6)
    const kept = request({ mix: [{ digest: 'sha256:0', scale: 1 }] })
    cache.keep(kept, tokens(80), '', read)
    expect(cache.find({ ...kept, ...changes }, tokens(80), '')).toEqual([])
    expect(cache.find(kept, tokens(80), 'another table')).toEqual([])
    expect(cache.find(kept, tokens(80), '')).toHaveLength(2)
  })

  it('stays within its budget and loses the ends of the oldest prompts first', () => {
    const cache = new PrefixCache('base', SHAPE, 3 * BLOCK_BYTES)
    const first = request({ tenant: 'first' })
    cache.keep(first, tokens(64), '', read)
    cache.keep(request({ tenant: 'second' }), tokens(64), '', read)
    expect(cache.bytes).toBe(3 * BLOCK_BYTES)
    expect(starts(cache.find(first, tokens(64), ''))).toEqual([0])
    expect(cache.counters.evictions).toBe(1)
  })

  it('keeps nothing without a budget', () => {
    const cache = new PrefixCache('base', SHAPE, 0)
    cache.keep(request(), tokens(64), '', read)
    expect(cache.find(request(), tokens(64), '')).toEqual([])
    expect(cache.bytes).toBe(0)
  })
})

describe('an engine with a prefix cache', () => {
  const cacheDir = mkdtempSync(join(tmpdir(), 'troupe-prefix-'))
  let options: EngineOptions
  let engine: Engine
  let plain: Engine

  beforeAll(async () => {
    const modelDir = join(import.meta.dirname, '../fixtures/conformance/llama/model')
    const prepared = await prepareModel({ modelDir, precision: 'f32', cacheDir })
    const sizes = {
      maxBatch: 4,
      maxContext: 192,
      prefillChunk: 16,
      bankBytes: 1e6,
      graphBytes: 1e9,
      speculation: 0,
      threads: 1,
    }
    options = { preparedDir: prepared.dir, device: 'cpu', ...sizes, prefixCacheBytes: 1e7 }
    engine = await Engine.start(options)
    plain = await Engine.start({ ...options, prefixCacheBytes: 0 })
    for (const each of [engine, plain]) each.hold(lora())
  })
  afterAll(async () => {
    await engine.stop()
    await plain.stop()
    rmSync(cacheDir, { recursive: true })
  })

  function lora(): AdapterWeights {
    const [inDim, outDim] = engine.info.linear.q_proj!
    const branches = Array.from({ length: engine.info.layers }, (_, layer): Branch => {
      const weights = { down: noise(layer + 1, 4 * inDim), up: noise(layer + 9, 4 * outDim) }
      return { layer, kind: 'q_proj', rank: 4, scale: 1, activation: 'identity', ...weights, a: null, c: null }
    })
    return { digest: 'lora', method: 'lora', branches, gains: [], virtualTokens: null, tokenRows: null, bytes: 0 }
  }

  async function run(
    on: Engine,
    what: GenerationRequest,
  ): Promise<{ tokens: number[]; logprobs: number[]; reused: number }> {
    const seen = { tokens: [] as number[], logprobs: [] as number[], reused: 0 }
    for await (const event of on.generate(what)) {
      if (event.type === 'reused') seen.reused = event.tokens
      if (event.type !== 'token') continue
      seen.tokens.push(event.token)
      seen.logprobs.push(event.logprob!.logprob)
    }
    return seen
  }

  it.each([
    ['the base', []],
    ['an adapter', [{ digest: 'lora', scale: 0.5 }]],
  ])('answers as one without, on %s', async (_, mix) => {
    const prompts = [tokens(100), tokens(100), tokens(100, 3), tokens(70, 5), tokens(20)]
    const reused: number[] = []
    for (const prompt of prompts) {
      const what = request({ tokens: prompt, mix })
      const [with_, without] = [await run(engine, what), await run(plain, what)]
      expect(with_.tokens).toEqual(without.tokens)
      for (const [i, logprob] of with_.logprobs.entries()) expect(logprob).toBeCloseTo(without.logprobs[i]!, 4)
      reused.push(with_.reused)
    }
    expect(reused).toEqual([0, 96, 96, 64, 0])
  })

  it('shares what the first of several prompts evaluates that arrive together', async () => {
    const begin = tokens(64).map((token) => (token + 1) % 300)
    const what = [1, 2, 3].map((last) => request({ tokens: Int32Array.of(...begin, last) }))
    const together = await Promise.all(what.map((each) => run(engine, each)))
    expect(together.map(({ reused }) => reused)).toEqual([0, 64, 64])
    for (const [i, each] of what.entries()) expect(together[i]!.tokens).toEqual((await run(plain, each)).tokens)
  })

  it('goes on from an earlier answer, as the next turn of a conversation does', async () => {
    const first = request({ tokens: tokens(60, 9), maxTokens: 40 })
    const answer = await run(engine, first)
    const next = request({ tokens: Int32Array.of(...first.tokens, ...answer.tokens, 4, 5, 6) })
    const continued = await run(engine, next)
    expect(continued.reused).toBe(96)
    expect(continued.tokens).toEqual((await run(plain, next)).tokens)
  })

  it('counts what it saved, and evaluates everything when all log-probabilities are wanted', async () => {
    const before = await engine.stats()
    const what = request({ tokens: tokens(100) })
    await run(engine, what)
    const after = await engine.stats()
    expect(after.prefixFoundTokens - before.prefixFoundTokens).toBe(96)
    expect(after.prefillTokens - before.prefillTokens).toBe(4)
    expect(after.prefixBytes).toBeGreaterThan(0)
    expect((await run(engine, { ...what, promptLogprobs: true })).reused).toBe(0)
  })
})
