import { describe, expect, it } from 'vitest'
import type { VirtualTokens } from '../../src/core/branch.ts'
import type { GenerationRequest } from '../../src/core/generation.ts'
import { GREEDY } from '../../src/core/generation.ts'
import type { LoopOptions } from '../../src/engine/engine-loop.ts'
import type { Outcome } from '../support/loop-driver.ts'
import { LoopDriver, promptOf, version } from '../support/loop-driver.ts'

const EMBEDDINGS: VirtualTokens = { type: 'embeddings', count: 5, values: new Float32Array(5) }
const KEYS_VALUES: VirtualTokens = { type: 'keys_values', count: 21, layers: [], usePositions: true }
const UNPLACED: VirtualTokens = { ...KEYS_VALUES, count: 16, usePositions: false }

const ADAPTERS = [
  version('a'),
  version('b'),
  version('embeddings', EMBEDDINGS),
  version('keys', KEYS_VALUES),
  version('unplaced', UNPLACED),
]

async function driver(options: Partial<LoopOptions> & { readonly kvPages?: number } = {}): Promise<LoopDriver> {
  const made = new LoopDriver(options)
  await Promise.all(ADAPTERS.map((weights) => made.loop.hold(weights)))
  return made
}

/** Requests of every kind: what they ask for follows from their index. */
function requests(count: number): Partial<GenerationRequest>[] {
  const mixes = [
    [],
    [{ digest: 'a', scale: 1 }],
    [{ digest: 'b', scale: 0.5 }],
    [
      { digest: 'a', scale: 1 },
      { digest: 'b', scale: 1 },
    ],
    [{ digest: 'embeddings', scale: 1 }],
    [{ digest: 'keys', scale: 1 }],
    [{ digest: 'unplaced', scale: 1 }],
  ]
  const samplings = [
    {},
    {},
    { logitBias: { 3: 4, 9: 4, 17: 4 } },
    { repetitionPenalty: 1.2, presencePenalty: 0.5, frequencyPenalty: 0.1 },
    { temperature: 0.9, seed: 5, topP: 0.9 },
  ]
  return Array.from({ length: count }, (_, index): Partial<GenerationRequest> => {
    // Some prompts begin alike.
    const own = promptOf(1 + ((index * 13) % 60), index)
    const tokens = index % 3 === 0 ? Int32Array.of(...promptOf(40, 999), ...own) : own
    return {
      tokens,
      mix: mixes[index % mixes.length]!,
      stack: index % 2 === 0,
      sampling: { ...GREEDY, ...samplings[index % samplings.length] },
      maxTokens: (index * 29) % 150,
      stopTokens: index % 4 === 0 ? [7] : [],
      logprobs: index % 5 === 0 ? 2 : null,
      promptLogprobs: index % 11 === 0,
      tenant: index % 6 === 5 ? undefined : index % 2 === 0 ? 'acme' : 'globex',
    }
  })
}

const ASKED = requests(70)

const essence = ({ tokens, logprobs, prompt, end }: Outcome): object => ({ tokens, logprobs, prompt, end })

/** What every request answers alone, on an engine of its own, its prompt in one chunk. */
async function alone(): Promise<object[]> {
  const outcomes: object[] = []
  for (const request of ASKED) outcomes.push(essence((await driver({ stepTokens: 400 })).ask(request)))
  return outcomes
}

const EXPECTED = alone()

describe('the engine gives every request the tokens it has alone', () => {
  it.each<[string, Partial<LoopOptions> & { readonly kvPages?: number }]>([
    ['with many in a batch', {}],
    ['with chunks of few tokens', { stepTokens: 3, maxBatch: 3 }],
    ['with few rows', { maxBatch: 2 }],
    ['with speculation', { speculation: 6 }],
    ['with too few pages for all', { kvPages: 30 }],
    ['with pages for the longest only, and speculation', { kvPages: 17, speculation: 6 }],
    [
      'in another order',
      { policy: { order: (candidates) => [...candidates].reverse(), charge: () => undefined }, kvPages: 30 },
    ],
  ])('%s', async (_, options) => {
    const shared = await driver(options)
    const ids = ASKED.flatMap((request) => shared.submit(request))
    shared.run()
    const found = ids.map((id) => essence(shared.outcomes.get(id)!))
    expect(found).toEqual(await EXPECTED)
    expect(shared.faults).toEqual([])
    const stats = shared.loop.stats()
    expect([stats.pagesUsed, stats.kvTokens, stats.running, stats.queued, stats.paused]).toEqual([0, 0, 0, 0, 0])
    if (options.kvPages !== undefined) expect(stats.pauses).toBeGreaterThan(0)
    if (options.speculation !== undefined) expect(stats.acceptedTokens).toBeGreaterThan(50)
  })

  it('one after the other, with what earlier ones left in the pages', async () => {
    const shared = await driver({ kvPages: 2000 })
    const twice = [...ASKED, ...ASKED].map((request) => shared.ask(request))
    const expected = await EXPECTED
    expect(twice.map(essence)).toEqual([...expected, ...expected])
    expect(shared.loop.stats().prefixFoundTokens).toBeGreaterThan(1000)
  })

  it('forked, each with a seed of its own', async () => {
    const cases: Partial<LoopOptions>[] = [{}, { stepTokens: 3, maxBatch: 4 }, { speculation: 4 }]
    for (const options of [...cases, { kvPages: 16 }]) {
      const shared = await driver(options)
      const groups = ASKED.slice(0, 30).map((request) => shared.submit(request, 3))
      shared.run()
      for (const [i, request] of ASKED.slice(0, 30).entries())
        for (const [fork, id] of groups[i]!.entries()) {
          const sampling = { ...request.sampling!, seed: request.sampling!.seed + fork }
          const single = await driver()
          expect(essence(shared.outcomes.get(id)!)).toEqual(essence(single.ask({ ...request, sampling })))
        }
    }
  })
})

describe('sharing pages', () => {
  const prompt = promptOf(100, 1)

  it('evaluates a prompt once for all its forks, and copies only the last page', async () => {
    const shared = await driver()
    const ids = shared.submit({ tokens: prompt, maxTokens: 20, sampling: { ...GREEDY, temperature: 1 } }, 8)
    shared.run()
    const { promptTokens, copiedPages } = shared.loop.stats()
    expect([promptTokens, copiedPages]).toEqual([100, 7])
    expect(new Set(ids.map((id) => String(shared.outcomes.get(id)!.tokens))).size).toBe(8)
  })

  it('lets a prompt that arrives together with one like it wait for that', async () => {
    const shared = await driver({ stepTokens: 40 })
    const begin = [...promptOf(64, 3)]
    const ids = [1, 2, 3].flatMap((last) => shared.submit({ tokens: Int32Array.of(...begin, last) }))
    shared.run()
    expect(ids.map((id) => shared.outcomes.get(id)!.reused)).toEqual([0, 64, 64])
    expect(shared.loop.stats().promptTokens).toBe(65 + 2)
  })

  it('goes on from an earlier answer, as the next turn of a conversation does', async () => {
    for (const speculation of [0, 6]) {
      const shared = await driver({ speculation })
      const first = shared.ask({ tokens: prompt, maxTokens: 45 })
      const next = Int32Array.of(...prompt, ...first.tokens, 4, 5, 6)
      const continued = shared.ask({ tokens: next })
      // 144 tokens were evaluated: the last of the answer was never fed.
      expect(continued.reused).toBe(144)
      expect(continued.tokens).toEqual((await driver()).ask({ tokens: next }).tokens)
    }
  })

  it('crosses neither tenants nor mixes, and needs a tenant', async () => {
    const shared = await driver()
    const mix = [{ digest: 'a', scale: 1 }]
    shared.ask({ tokens: prompt, mix })
    const reused = (changes: Partial<GenerationRequest>): number =>
      shared.ask({ tokens: prompt, mix, ...changes }).reused
    expect(reused({})).toBe(96)
    expect(reused({ tenant: 'globex' })).toBe(0)
    expect(reused({ tenant: undefined })).toBe(0)
    expect(reused({ mix: [{ digest: 'a', scale: 0.5 }] })).toBe(0)
    expect(reused({ mix: [] })).toBe(0)
    expect(reused({ stack: true })).toBe(0)
    expect(reused({ promptLogprobs: true })).toBe(0)
  })

  it('keeps pages until others need them, the ends of the oldest prompts first', async () => {
    const shared = await driver({ kvPages: 14 })
    shared.ask({ tokens: promptOf(97, 1), maxTokens: 1 })
    expect(shared.loop.stats()).toMatchObject({ pagesCached: 6, pagesFree: 8 })
    shared.ask({ tokens: promptOf(144, 2), maxTokens: 1 })
    expect(shared.loop.stats()).toMatchObject({ pagesFree: 0, prefixEvictions: 1 })
    expect(shared.ask({ tokens: promptOf(97, 1), maxTokens: 1 }).reused).toBe(80)
  })
})

describe('a long rope', () => {
  it('evaluates a sequence anew that outgrows the short table, whatever else runs', async () => {
    const ask = { tokens: promptOf(30, 4), maxTokens: 40 }
    const found = [{}, { speculation: 6 }, { stepTokens: 5 }].map(async (options) => {
      const shared = await driver({ ropeLimit: 50, ...options })
      const [id] = shared.submit(ask)
      shared.submit({ tokens: promptOf(45, 5), maxTokens: 30 })
      shared.run()
      expect(shared.loop.stats().recomputedTokens).toBeGreaterThanOrEqual(100)
      return shared.outcomes.get(id!)!.tokens
    })
    const [first, ...others] = await Promise.all(found)
    for (const other of others) expect(other).toEqual(first)
    const short = (await driver()).ask(ask).tokens
    expect(first!.slice(0, 20)).toEqual(short.slice(0, 20))
    expect(first).not.toEqual(short)
    // What it says from there on is what a prompt of that length says.
    const whole = await driver({ ropeLimit: 50 })
    const rest = whole.ask({ tokens: Int32Array.of(...ask.tokens, ...first!.slice(0, 21)), maxTokens: 19 })
    expect(rest.tokens).toEqual(first!.slice(21))
  })
})

describe('ending', () => {
  it('cancels wherever a sequence is, and gives everything back', async () => {
    const shared = await driver({ kvPages: 30, stepTokens: 20, maxBatch: 4 })
    for (let round = 0; round < 40; round++) {
      const ids = ASKED.slice(round, round + 6).flatMap((request) => shared.submit(request, 1 + (round % 3)))
      for (let i = 0; i < round % 9; i++) shared.tick()
      for (const [i, id] of ids.entries()) if ((i * 7 + round) % 3 !== 0) shared.loop.cancel(id)
      shared.loop.checkIntegrity()
    }
    shared.run()
    expect(shared.loop.stats()).toMatchObject({ pagesUsed: 0, kvTokens: 0, running: 0 })
    for (const { end } of shared.outcomes.values()) expect(end).not.toBeNull()
  })

  it('lets a fork go on with the prompt when the first is cancelled within it', async () => {
    const shared = await driver({ stepTokens: 16 })
    const ask = { tokens: promptOf(90, 6), maxTokens: 10, promptLogprobs: true, logprobs: 0 }
    const [first, second, third] = shared.submit(ask, 3)
    for (let i = 0; i < 3; i++) shared.tick()
    shared.loop.cancel(first!)
    shared.loop.checkIntegrity()
    shared.run()
    expect(shared.outcomes.get(first!)!.end).toEqual({ type: 'finish', reason: 'cancelled' })
    const single = essence((await driver()).ask(ask))
    for (const id of [second!, third!]) expect(essence(shared.outcomes.get(id)!)).toEqual(single)
    expect(shared.loop.stats().promptTokens).toBe(90)
  })

  it('ends only the sequences of a step that fails, with the reason', async () => {
    const shared = await driver({ maxBatch: 2 })
    const ids = [1, 2, 3, 4].flatMap((seed) => shared.submit({ tokens: promptOf(10, seed) }))
    shared.tick()
    shared.device.onStep = () => {
      shared.device.onStep = () => {}
      throw new Error('bad_alloc: no memory for scratch')
    }
    shared.run()
    const ends = ids.map((id) => shared.outcomes.get(id)!.end)
    const failed = {
      type: 'finish',
      reason: 'error',
      code: 'engine_failed',
      message: 'bad_alloc: no memory for scratch',
    }
    const fine = { type: 'finish', reason: 'length' }
    expect(ends).toEqual([failed, failed, fine, fine])
    expect(shared.faults).toHaveLength(1)
    expect(shared.loop.stats().pagesUsed).toBe(0)
  })

  it('ends a sequence whose logits are not numbers, and no other', async () => {
    const shared = await driver()
    const [bad, good] = [1, 2].flatMap((seed) => shared.submit({ tokens: promptOf(10, seed) }))
    const step = shared.device.step.bind(shared.device)
    shared.device.step = (input, logits) => {
      step(input, logits)
      logits.subarray(0, shared.device.logitWidth).fill(NaN)
      shared.device.step = step
    }
    shared.run()
    expect(shared.outcomes.get(bad!)!.end).toMatchObject({ reason: 'error', code: 'engine_failed' })
    expect(shared.outcomes.get(good!)!.end).toEqual({ type: 'finish', reason: 'length' })
  })

  it.each<[string, Partial<GenerationRequest>, string, string]>([
    ['no tokens', { tokens: new Int32Array(0) }, 'invalid_request', 'the prompt has no tokens'],
    ['a token outside the vocabulary', { tokens: Int32Array.of(99) }, 'invalid_request', 'token 99 is outside'],
    ['a negative token', { tokens: Int32Array.of(-1) }, 'invalid_request', 'token -1 is outside'],
    ['an unknown version', { mix: [{ digest: 'x', scale: 1 }] }, 'internal', 'x is not held by the engine'],
    ['too long', { maxTokens: 400 }, 'context_length_exceeded', 'needs 403 tokens of context and maxContext is 400'],
    ['too many pages', { maxTokens: 300 }, 'context_length_exceeded', 'kvBytes holds 1280 (160 tokens)'],
  ])('refuses %s and goes on', async (_, changes, code, message) => {
    const shared = await driver({ kvPages: 10 })
    expect(shared.ask(changes).end).toMatchObject({
      reason: 'error',
      code,
      message: expect.stringContaining(message) as string,
    })
    expect(shared.ask({}).tokens).toHaveLength(12)
  })
})

describe('adapters', () => {
  it('frees a dropped version with its last sequence, and takes it again meanwhile', async () => {
    const shared = await driver()
    const mix = [{ digest: 'a', scale: 1 }]
    const expected = shared.ask({ mix, maxTokens: 30 }).tokens
    const [id] = shared.submit({ mix, maxTokens: 30 })
    shared.tick()
    const count = shared.device.adapters
    shared.loop.drop('a')
    expect(shared.device.adapters).toBe(count)
    expect(shared.ask({ mix }).end).toMatchObject({ message: 'a is not held by the engine' })
    shared.run()
    expect(shared.outcomes.get(id!)!.tokens).toEqual(expected)
    expect(shared.device.adapters).toBe(count - 1)
    await shared.loop.hold(version('a'))
    expect(shared.ask({ mix, maxTokens: 30 }).tokens).toEqual(expected)
  })

  it('loads once for all that ask at once, and frees what was dropped on its way', async () => {
    const shared = await driver()
    const count = shared.device.adapters
    expect(await Promise.all([1, 2, 3].map(() => shared.loop.hold(version('c'))))).toEqual([100, 100, 100])
    expect(shared.device.adapters).toBe(count + 1)
    const loading = shared.loop.hold(version('d'))
    shared.loop.drop('d')
    await loading
    expect(shared.device.adapters).toBe(count + 1)
    const wanted = shared.loop.hold(version('e'))
    shared.loop.drop('e')
    await Promise.all([wanted, shared.loop.hold(version('e'))])
    expect(shared.loop.residents().residents.map(({ digest }) => digest)).toContain('e')
  })

  it('tells why a version cannot be loaded', async () => {
    const shared = await driver()
    shared.device.refused.add('broken')
    await expect(shared.loop.hold(version('broken'))).rejects.toThrow('broken does not fit')
    expect(shared.loop.stats()).toMatchObject({ adapterLoadFailures: 1, adapterLoads: ADAPTERS.length })
  })
})
