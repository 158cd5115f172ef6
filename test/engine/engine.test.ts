import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { GenerationEvent, GenerationRequest } from '../../src/core/generation.ts'
import { GREEDY } from '../../src/core/generation.ts'
import type { EngineOptions } from '../../src/core/messages.ts'
import { Engine } from '../../src/engine/engine.ts'
import { engineFor, loraFor } from '../support/engine-model.ts'

const cacheDir = mkdtempSync(join(tmpdir(), 'troupe-engine-'))
let options: EngineOptions
let engine: Engine

beforeAll(async () => {
  options = (await engineFor('llama', cacheDir)).options
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

async function collect(events: AsyncIterable<GenerationEvent>): Promise<GenerationEvent[]> {
  const all: GenerationEvent[] = []
  for await (const event of events) all.push(event)
  return all
}

function tokensOf(events: readonly GenerationEvent[]): number[] {
  return events.flatMap((event) => (event.type === 'token' ? [event.token] : []))
}

async function ask(changes: Partial<GenerationRequest> = {}, on = engine): Promise<GenerationEvent[]> {
  return collect(on.generate(request(changes)))
}

describe('Engine', () => {
  it('says what it runs on', () => {
    expect(engine.device).toMatchObject({ kvTokens: 64 * 16, kernels: expect.any(String) as string })
    expect(engine.device.kvBytes).toBeGreaterThan(0)
  })

  it('gives every row the tokens it has alone, base and adapters in one batch', async () => {
    for (const seed of [1, 2]) await engine.hold(loraFor(engine.info, `lora-${seed}`, seed))
    const mixes = [
      [],
      [{ digest: 'lora-1', scale: 1 }],
      [{ digest: 'lora-2', scale: 1 }],
      [{ digest: 'lora-1', scale: 3 }],
    ]
    const alone: number[][] = []
    for (const mix of mixes) alone.push(tokensOf(await ask({ mix })))
    expect(new Set(alone.map(String)).size).toBe(mixes.length)
    const together = await Promise.all(mixes.map((mix) => ask({ mix })))
    expect(together.map(tokensOf)).toEqual(alone)
  })

  it('runs more sequences than take part in a step', async () => {
    const runs = await Promise.all(Array.from({ length: 21 }, () => ask()))
    expect(new Set(runs.map((events) => String(tokensOf(events)))).size).toBe(1)
    expect(runs.every((events) => events[0]!.type === 'started')).toBe(true)
  })

  it('lets requests for a version wait that is still being loaded', async () => {
    const mix = [{ digest: 'late', scale: 1 }]
    const held = engine.hold(loraFor(engine.info, 'late', 5))
    const events = await ask({ mix })
    expect(events.at(-1)).toEqual({ type: 'finish', reason: 'length' })
    expect(await held).toBeGreaterThan(0)
    const { residents } = await engine.residents()
    expect(residents.find(({ digest }) => digest === 'late')!.bytes).toBe(await held)
    engine.drop('late')
    expect((await ask({ mix })).at(-1)).toMatchObject({ reason: 'error', message: 'late is not held by the engine' })
  })

  it('tells every request that names it why a version cannot be loaded', async () => {
    const broken = loraFor(engine.info, 'broken', 6)
    const [first, ...others] = broken.branches
    const wrong = { ...broken, branches: [{ ...first!, layer: 99 }, ...others] }
    const mix = [{ digest: 'broken', scale: 1 }]
    const [held, events] = await Promise.allSettled([engine.hold(wrong), ask({ mix })])
    expect(held).toMatchObject({ status: 'rejected', reason: { message: expect.stringMatching(/99/) as string } })
    expect(events).toMatchObject({ value: [{ type: 'finish', reason: 'error', code: 'engine_failed' }] })
    expect((await ask({ mix })).at(-1)).toMatchObject({ message: expect.stringMatching(/99/) as string })
    engine.drop('broken')
  })

  it('ends at a stop token without emitting it', async () => {
    const all = tokensOf(await ask())
    const events = await ask({ stopTokens: [all[5]!] })
    expect(tokensOf(events)).toEqual(all.slice(0, all.indexOf(all[5]!)))
    expect(events.at(-1)).toEqual({ type: 'finish', reason: 'stop' })
  })

  it('only evaluates the prompt with maxTokens 0', async () => {
    const events = await ask({ maxTokens: 0, promptLogprobs: true, logprobs: 2 })
    expect(events.map(({ type }) => type)).toEqual(['started', 'prompt', 'finish'])
    const prompt = events[1] as Extract<GenerationEvent, { type: 'prompt' }>
    expect(prompt.logprobs.map((entry) => entry?.top.length ?? null)).toEqual([null, 2, 2, 2])
    for (const { logprob, top, rank } of prompt.logprobs.slice(1).map((entry) => entry!))
      if (rank! <= top.length) expect(logprob).toBe(top[rank! - 1]!.logprob)
      else expect(logprob).toBeLessThanOrEqual(top.at(-1)!.logprob)
    const ranks = prompt.logprobs.slice(1).map((entry) => entry!.rank!)
    expect(ranks.every((rank) => rank >= 1 && Number.isInteger(rank))).toBe(true)
  })

  it('runs several sequences on one prompt, each with a seed of its own', async () => {
    const sampling = { ...GREEDY, temperature: 1.5, seed: 11 }
    const before = await engine.stats()
    const forks = await Promise.all(engine.generateEach(request({ sampling }), 3).map(collect))
    const after = await engine.stats()
    expect(after.promptTokens - before.promptTokens).toBe(4)
    for (const [i, events] of forks.entries())
      expect(tokensOf(events)).toEqual(tokensOf(await ask({ sampling: { ...sampling, seed: 11 + i } })))
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
    const [left, read] = engine.generateEach(long, 2)
    await left!.return()
    expect(tokensOf(await collect(read!))).toHaveLength(60)
    await expect.poll(async () => (await engine.stats()).running).toBe(0)
    const stats = await engine.stats()
    expect([stats.queued, stats.kvTokens, stats.pagesUsed]).toEqual([0, 0, 0])
    await engine.checkIntegrity()
  })

  it('refuses what can never run, and goes on', async () => {
    const found = await ask({ maxTokens: 100 })
    const message = expect.stringContaining('needs 103 tokens of context and maxContext is 64') as string
    expect(found).toEqual([{ type: 'finish', reason: 'error', code: 'context_length_exceeded', message }])
    expect(tokensOf(await ask())).toHaveLength(12)
  })

  it('names what is wrong when it cannot start', async () => {
    await expect(Engine.start({ ...options, preparedDir: join(cacheDir, 'nowhere') })).rejects.toThrow('prepared.json')
  })

  it('refuses everything once it was stopped', async () => {
    const other = await Engine.start(options)
    await other.stop()
    await expect(other.checkIntegrity()).rejects.toThrow('the server is stopping')
    expect(await ask({}, other)).toMatchObject([{ reason: 'error', code: 'not_ready' }])
  })
})

describe('an engine whose thread dies', () => {
  /** Stands for the thread: answers every request with one token, and dies of a prompt that begins with 666. */
  const MORTAL = `
    import { parentPort, workerData } from 'node:worker_threads'
    if (workerData.maxBatch === 1 && process.env.TROUPE_TEST_UNBORN) throw new Error('stillborn')
    parentPort.postMessage({ type: 'ready', info: { name: 'mortal' }, device: { kernels: 'none', kvBytes: 0, kvTokens: 0 } })
    const held = []
    parentPort.on('message', (message) => {
      if (message.type === 'hold') {
        held.push(message.weights.digest)
        parentPort.postMessage({ type: 'held', id: message.id, bytes: 7 })
      } else if (message.type === 'submit') {
        if (message.request.tokens[0] === 666) throw new Error('segmentation fault')
        if (message.request.tokens[0] === 555) return
        parentPort.postMessage({ type: 'events', events: message.ids.flatMap((id) => [
          { id, event: { type: 'token', token: held.length, logprob: null } },
          { id, event: { type: 'finish', reason: 'length' } },
        ]) })
      } else if (message.type === 'stop') parentPort.close()
    })
  `
  const entry = join(cacheDir, 'mortal.mjs')
  beforeAll(() => writeFileSync(entry, MORTAL))

  it('ends its requests with a named error, starts anew and has the same versions', async () => {
    const mortal = await Engine.start({ ...options, entry: pathToFileURL(entry) })
    const faults: string[] = []
    mortal.onFault = (message) => faults.push(message)
    const weights = loraFor(engine.info, 'kept', 3)
    let reads = 0
    expect(await mortal.hold(weights, () => (reads++, Promise.resolve(weights)))).toBe(7)
    await mortal.hold({ ...weights, digest: 'dropped' })
    mortal.drop('dropped')
    const waiting = ask({ tokens: Int32Array.of(555) }, mortal)
    const killed = await ask({ tokens: Int32Array.of(666) }, mortal)
    const failed = { type: 'finish', reason: 'error', code: 'engine_failed' }
    expect(killed).toMatchObject([{ ...failed, message: expect.stringContaining('segmentation fault') as string }])
    expect(await waiting).toMatchObject([failed])
    expect(await ask({}, mortal)).toMatchObject([{ reason: 'error', code: 'not_ready' }])
    await expect.poll(() => mortal.restarts, { timeout: 5000 }).toBe(1)
    const again = await ask({ mix: [{ digest: 'kept', scale: 1 }] }, mortal)
    expect([tokensOf(again), reads]).toEqual([[1], 1])
    expect(faults).toEqual(['the engine thread died: segmentation fault'])
    await mortal.stop()
  })

  it('gives up when no new thread can be started', async () => {
    const mortal = await Engine.start({ ...options, maxBatch: 1, entry: pathToFileURL(entry) })
    process.env['TROUPE_TEST_UNBORN'] = '1'
    try {
      await ask({ tokens: Int32Array.of(666) }, mortal)
      expect((await mortal.crashed).message).toContain('stillborn')
      expect(await ask({}, mortal)).toMatchObject([{ reason: 'error', code: 'not_ready' }])
    } finally {
      delete process.env['TROUPE_TEST_UNBORN']
    }
  })
})
