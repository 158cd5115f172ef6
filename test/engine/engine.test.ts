import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Activation, AdapterWeights, Branch } from '../../src/core/branch.ts'
import type { GenerationEvent, GenerationRequest } from '../../src/core/generation.ts'
import { GREEDY } from '../../src/core/generation.ts'
import type { EngineOptions } from '../../src/core/messages.ts'
import type { ModelInfo } from '../../src/core/model-info.ts'
import { Engine } from '../../src/engine/engine.ts'
import { prepareModel } from '../../src/model/prepare.ts'

const cacheDir = mkdtempSync(join(tmpdir(), 'troupe-engine-'))
const modelDir = join(import.meta.dirname, '../fixtures/conformance/llama/model')
let options: EngineOptions
let engine: Engine

beforeAll(async () => {
  const prepared = await prepareModel({ modelDir, precision: 'f32', cacheDir })
  options = {
    preparedDir: prepared.dir,
    device: 'cpu',
    maxBatch: 4,
    maxContext: 64,
    prefillChunk: 8,
    bankBytes: 1_000_000,
    graphBytes: 1e9,
    prefixCacheBytes: 0,
    speculation: 0,
    threads: 1,
  }
  engine = await Engine.start(options)
})
afterAll(async () => {
  await engine.stop()
  rmSync(cacheDir, { recursive: true })
})

function request(changes: Partial<GenerationRequest> = {}): GenerationRequest {
  return {
    tokens: Int32Array.of(5, 6, 7, 8),
    mix: [],
    sampling: GREEDY,
    maxTokens: 12,
    stopTokens: [],
    logprobs: null,
    promptLogprobs: false,
    ...changes,
  }
}

async function collect(on: Engine, what: GenerationRequest, signal?: AbortSignal): Promise<GenerationEvent[]> {
  const events: GenerationEvent[] = []
  for await (const event of on.generate(what, signal)) events.push(event)
  return events
}

function tokensOf(events: readonly GenerationEvent[]): number[] {
  return events.flatMap((event) => (event.type === 'token' ? [event.token] : []))
}

/** A LoRA on every query projection with values that follow from `seed`. */
function lora(digest: string, info: ModelInfo, seed: number, rank = 4): AdapterWeights {
  const [inDim, outDim] = info.linear.q_proj!
  const noise = (length: number, offset: number): Float32Array =>
    Float32Array.from({ length }, (_, i) => Math.sin((i + offset) * seed))
  const branches = Array.from({ length: info.layers }, (_, layer): Branch => {
    const [down, up] = [noise(rank * inDim, layer), noise(rank * outDim, layer + 1)]
    return { layer, kind: 'q_proj', rank, scale: 0.5, activation: 'identity', down, up, a: null, c: null }
  })
  return { digest, method: 'lora', branches, gains: [], virtualTokens: null, tokenRows: null, bytes: 0 }
}

/** A copy of a LoRA at another place in every layer; its shapes are those of the query projection. */
function movedTo(kind: 'o_proj', digest: string, weights: AdapterWeights): AdapterWeights {
  return { ...weights, digest, branches: weights.branches.map((branch) => ({ ...branch, kind })) }
}

describe('Engine', () => {
  it('writes in place on this runtime', () => {
    expect(engine.inPlace).toBe(true)
  })

  it('gives every row the tokens it has alone, base and adapters in one batch', async () => {
    for (const seed of [1, 2]) engine.hold(lora(`lora-${seed}`, engine.info, seed))
    const mixes = [
      [],
      [{ digest: 'lora-1', scale: 1 }],
      [{ digest: 'lora-2', scale: 1 }],
      [{ digest: 'lora-1', scale: 3 }],
    ]
    const alone: number[][] = []
    for (const mix of mixes) alone.push(tokensOf(await collect(engine, request({ mix }))))
    expect(new Set(alone.map(String)).size).toBe(mixes.length)
    const together = await Promise.all(mixes.map((mix) => collect(engine, request({ mix }))))
    expect(together.map(tokensOf)).toEqual(alone)
  })

  it('runs more sequences than it has slots', async () => {
    const runs = await Promise.all(Array.from({ length: 11 }, () => collect(engine, request())))
    expect(new Set(runs.map((events) => String(tokensOf(events)))).size).toBe(1)
    expect(runs.every((events) => events[0]!.type === 'started')).toBe(true)
  })

  it('does not change the tokens when a prompt is cut into chunks', async () => {
    const tokens = Int32Array.from({ length: 40 }, (_, i) => (i * 37) % 300)
    const whole = await Engine.start({ ...options, prefillChunk: 64 })
    try {
      const chunked = await collect(engine, request({ tokens }))
      expect(tokensOf(chunked)).toEqual(tokensOf(await collect(whole, request({ tokens }))))
    } finally {
      await whole.stop()
    }
    await expect(whole.checkIntegrity()).rejects.toThrow('the server is stopping')
  })

  it('ends at a stop token without emitting it', async () => {
    const all = tokensOf(await collect(engine, request()))
    const events = await collect(engine, request({ stopTokens: [all[5]!] }))
    expect(tokensOf(events)).toEqual(all.slice(0, all.indexOf(all[5]!)))
    expect(events.at(-1)).toEqual({ type: 'finish', reason: 'stop' })
  })

  it('only evaluates the prompt with maxTokens 0', async () => {
    const events = await collect(engine, request({ maxTokens: 0, promptLogprobs: true, logprobs: 2 }))
    expect(events.map(({ type }) => type)).toEqual(['started', 'prompt', 'finish'])
    const prompt = events[1] as Extract<GenerationEvent, { type: 'prompt' }>
    expect(prompt.logprobs.map((entry) => entry?.top.length ?? null)).toEqual([null, 2, 2, 2])
  })

  it('cancels on abort and when the reader leaves, and gives everything back', async () => {
    const controller = new AbortController()
    const long = request({ maxTokens: 60, mix: [{ digest: 'lora-1', scale: 1 }] })
    const aborted: GenerationEvent[] = []
    for await (const event of engine.generate(long, controller.signal)) {
      aborted.push(event)
      if (event.type === 'token') controller.abort()
    }
    expect(aborted.at(-1)).toEqual({ type: 'finish', reason: 'cancelled' })
    for await (const event of engine.generate(long)) if (event.type === 'token') break
    await expect.poll(async () => (await engine.stats()).running).toBe(0)
    const stats = await engine.stats()
    expect([stats.queued, stats.kvTokens]).toEqual([0, 0])
    await engine.checkIntegrity()
  })

  it.each([
    { name: 'no tokens', changes: { tokens: new Int32Array(0) }, message: 'the prompt has no tokens' },
    {
      name: 'a token outside the vocabulary',
      changes: { tokens: Int32Array.of(9999) },
      message: 'token 9999 is outside',
    },
    { name: 'too long', changes: { maxTokens: 100 }, message: 'needs 103 tokens of context; a slot has 64' },
    { name: 'an unknown version', changes: { mix: [{ digest: 'nobody', scale: 1 }] }, message: 'nobody is not held' },
  ])('refuses $name and goes on', async ({ changes, message }) => {
    const events = await collect(engine, request(changes))
    expect(events).toEqual([{ type: 'finish', reason: 'error', message: expect.stringContaining(message) as string }])
    expect(tokensOf(await collect(engine, request())).length).toBe(12)
  })

  it('refuses a mix that can never fit into the bank, and waits for one that does not fit yet', async () => {
    engine.hold(lora('huge', engine.info, 3, 700))
    const refused = await collect(engine, request({ mix: [{ digest: 'huge', scale: 1 }] }))
    expect(refused.at(-1)).toMatchObject({
      reason: 'error',
      message: expect.stringContaining('raise bankBytes') as string,
    })
    // Each takes more than half of the bank: they run one after the other.
    for (const seed of [4, 5]) engine.hold(lora(`half-${seed}`, engine.info, seed, 400))
    const both = await Promise.all(
      [4, 5].map((seed) => collect(engine, request({ mix: [{ digest: `half-${seed}`, scale: 1 }] }))),
    )
    expect(both.map((events) => events.at(-1))).toEqual([
      { type: 'finish', reason: 'length' },
      { type: 'finish', reason: 'length' },
    ])
    const stats = await engine.stats()
    expect(stats.bankBytes).toBeLessThanOrEqual(stats.bankBudgetBytes)
    expect(stats.bankEvictions).toBeGreaterThan(0)
  })

  it('goes on with rows of one bottleneck while another with a new non-linearity arrives', async () => {
    const bottleneck = (activation: Activation): AdapterWeights => {
      const { hidden, layers } = engine.info
      const values = (length: number): Float32Array => Float32Array.from({ length }, (_, i) => Math.sin(i))
      const branches = Array.from({ length: layers }, (_, layer): Branch => {
        const [down, up] = [values(2 * hidden), values(2 * hidden)]
        return { layer, kind: 'mlp_out', rank: 2, scale: 1, activation, down, up, a: values(2), c: values(hidden) }
      })
      return {
        digest: `bn-${activation}`,
        method: 'bottleneck',
        branches,
        gains: [],
        virtualTokens: null,
        tokenRows: null,
        bytes: 0,
      }
    }
    engine.hold(bottleneck('relu'))
    const mix = [{ digest: 'bn-relu', scale: 1 }]
    const before = tokensOf(await collect(engine, request({ mix, maxTokens: 40 })))
    const running = collect(engine, request({ mix, maxTokens: 40 }))
    engine.hold(bottleneck('tanh'))
    const other = tokensOf(await collect(engine, request({ mix: [{ digest: 'bn-tanh', scale: 1 }], maxTokens: 40 })))
    expect(tokensOf(await running)).toEqual(before)
    expect(tokensOf(await collect(engine, request({ mix, maxTokens: 40 })))).toEqual(before)
    expect(other).not.toEqual(before)
  })

  it('says which versions were in the bank already', async () => {
    engine.hold(lora('new', engine.info, 6))
    const mix = [{ digest: 'new', scale: 1 }]
    const first = await collect(engine, request({ mix }))
    const second = await collect(engine, request({ mix }))
    expect([first[0], second[0]]).toEqual([
      expect.objectContaining({ type: 'started', hot: [] }),
      expect.objectContaining({ type: 'started', hot: ['new'] }),
    ])
  })

  it('names what is wrong when it cannot start', async () => {
    await expect(Engine.start({ ...options, preparedDir: join(cacheDir, 'nowhere') })).rejects.toThrow('prepared.json')
  })

  it('compiles the graphs that suit its adapters, without a quiet moment too', async () => {
    const busy = await Engine.start(options)
    try {
      const query = lora('graph-q', busy.info, 3)
      busy.hold(query)
      busy.hold(movedTo('o_proj', 'graph-o', query))
      // The base, query alone and both together in two forms; somebody is always waiting.
      expect((await busy.stats()).graphs).toBe(5)
      const ask = async (): Promise<number> => {
        await collect(busy, request({ mix: [{ digest: 'graph-o', scale: 1 }], maxTokens: 50 }))
        return (await busy.stats()).graphs
      }
      let counts = [0]
      const alone = await collect(busy, request({ mix: [{ digest: 'graph-o', scale: 1 }] }))
      while (Math.max(...counts) < 6) counts = await Promise.all([ask(), ask(), ask()])
      const suited = await collect(busy, request({ mix: [{ digest: 'graph-o', scale: 1 }] }))
      expect(tokensOf(suited)).toEqual(tokensOf(alone))
    } finally {
      await busy.stop()
    }
  })
})
