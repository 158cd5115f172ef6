/** One test per complaint of users of other servers: each asserts that Troupe does not have it. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { Client } from '../support/client.ts'
import { badFiles, modelDir } from '../support/fixtures.ts'
import { scrape } from '../support/scrape.ts'
import type { RunningServer } from '../support/server.ts'
import { startTestServer } from '../support/server.ts'
import { blobFolders } from '../support/store-folder.ts'
import type { Files } from './scenarios/adapters.ts'
import { ADAPTERS, FAMILY, loraWithAlpha, referenceFiles } from './scenarios/adapters.ts'
import type { ErrorBody } from './scenarios/generation.ts'
import { complete, PROMPTS, runTask } from './scenarios/generation.ts'

interface Version {
  readonly version: string
  readonly digest: string
  readonly bytes: number
  readonly device_bytes: number
  readonly parameters: number
}

const TOKENS = 12
const LONG = 400
const PROMPT = PROMPTS[0]

let server: RunningServer
let client: Client
/** What each reference adapter answers. */
const references = new Map<string, string>()

beforeAll(async () => {
  // Streams that others are to meet must last, so nothing is guessed.
  server = await startTestServer({ model: modelDir(FAMILY), maxBatch: 8, speculation: 0 })
  client = new Client(server.url)
  for (const adapter of ADAPTERS) {
    await added(adapter, referenceFiles(adapter))
    references.set(adapter, (await complete(client, adapter, PROMPT, TOKENS)).text)
  }
  references.set('model', (await complete(client, 'model', PROMPT, TOKENS)).text)
  expect(new Set(references.values()).size, 'adapters that answer alike prove nothing').toBe(ADAPTERS.length + 1)
})
afterAll(() => server.close())

async function added(name: string, files: Files): Promise<Version> {
  const { status, body } = await client.upload<Version>(name, files)
  expect([200, 201], JSON.stringify(body)).toContain(status)
  return body
}

async function text(model: string): Promise<string> {
  return (await complete(client, model, PROMPT, TOKENS)).text
}

async function metric(name: string): Promise<number> {
  return (await scrape(client)).get(`troupe_${name}`) ?? 0
}

async function metrics(...names: readonly string[]): Promise<number[]> {
  const all = await scrape(client)
  return names.map((name) => all.get(`troupe_${name}`) ?? 0)
}

/** A stream of `LONG` tokens: resolves with `first` once it runs; `rest` is its whole text. */
async function longStream(on: Client, task: string): Promise<{ readonly rest: Promise<string> }> {
  const body = { prompt: PROMPT, max_tokens: LONG, temperature: 0, ignore_eos: true }
  const events = on.stream<{ choices: { text: string }[] }>(`/v1/tasks/${task}/generate`, body)
  const first = await events.next()
  const read = async (): Promise<string> => {
    let whole = first.done ? '' : first.value.choices.map((choice) => choice.text).join('')
    for await (const { choices } of events) whole += choices.map((choice) => choice.text).join('')
    return whole
  }
  return { rest: read() }
}

describe('answers of the wrong weights', () => {
  it('does not serve a running request with another adapter after a load (vLLM 47724)', async () => {
    await client.put('/v1/tasks/steady', { adapter: 'lora-r8' })
    const undisturbed = (await runTask(client, 'steady', PROMPT, LONG)).text
    const { rest } = await longStream(client, 'steady')
    for (const alpha of [5, 9]) {
      await added('newcomer', loraWithAlpha(alpha))
      await text('newcomer')
    }
    expect(await rest).toBe(undisturbed)
  })

  it('does not answer from old weights after a reload under the same name (vLLM 42125, 30931)', async () => {
    await added('reloaded', loraWithAlpha(40))
    const old = await text('reloaded')
    expect((await client.delete('/v1/adapters/reloaded')).status).toBe(204)
    await added('reloaded', loraWithAlpha(2))
    const now = await text('reloaded')
    await added('elsewhere', loraWithAlpha(2))
    expect(now).toBe(await text('elsewhere'))
    expect(now).not.toBe(old)
  })

  it('does not confuse adapters whose names or prompts look alike (vLLM 44701, SGLang 24638)', async () => {
    await added('acme/same', loraWithAlpha(40))
    await added('beta/same', loraWithAlpha(2))
    const prompts = [PROMPT, `acme/same${PROMPT}`, `same:${PROMPT}`]
    const ask = (model: string): Promise<string[]> =>
      Promise.all(prompts.map(async (prompt) => (await complete(client, model, prompt, TOKENS)).text))
    const [acme, beta, again] = [await ask('acme/same'), await ask('beta/same'), await ask('acme/same')]
    expect(acme).toEqual(again)
    expect(acme).not.toEqual(beta)
  })

  it('refuses an adapter that answers like the base (vLLM 55193, 34186, 41754)', async () => {
    const files = referenceFiles('lora-r4')
    const weights = Buffer.from(files['adapter_model.safetensors']!)
    weights.fill(0, 8 + Number(weights.readBigUInt64LE()))
    const { status, body } = await client.upload<ErrorBody>('nothing', {
      ...files,
      'adapter_model.safetensors': weights,
    })
    expect([status, body.error.code]).toEqual([400, 'adapter_has_no_effect'])
  })

  it('refuses weights of modules that the base does not have, instead of ignoring them (LoRAX)', async () => {
    const files = referenceFiles('lora-r4')
    const weights = Buffer.from(files['adapter_model.safetensors']!)
    const unknown = Buffer.from(weights.toString('latin1').replaceAll('q_proj', 'z_proj'), 'latin1')
    const { status, body } = await client.upload<ErrorBody>('unknown', {
      ...files,
      'adapter_model.safetensors': unknown,
    })
    expect(status).toBe(400)
    expect(body.error.message).toMatch(/z_proj/)
  })

  it('serves many adapters and the base in one batch (SGLang 23141)', async () => {
    const models = [...references.keys()]
    const rounds = await Promise.all([...models, ...models].map(async (model) => [model, await text(model)] as const))
    for (const [model, answer] of rounds) expect(answer, model).toBe(references.get(model))
  })
})

describe('loading and unloading', () => {
  it('gives back the memory of what is unloaded (vLLM 54839, 42633)', async () => {
    const tiers = ['tier_bytes{tier="memory"}', 'tier_versions{tier="memory"}', 'engine_adapter_bytes']
    const before = await metrics(...tiers)
    await added('passing', loraWithAlpha(33))
    await text('passing')
    const loaded = await metrics(...tiers)
    for (const [i, value] of loaded.entries()) expect(value).toBeGreaterThan(before[i]!)
    expect((await client.delete('/v1/adapters/passing')).status).toBe(204)
    expect(await metrics(...tiers)).toEqual(before)
  })

  it('finishes what runs on a deleted version, then frees it (SGLang 36894)', async () => {
    await added('leaving', loraWithAlpha(21))
    await client.put('/v1/tasks/leaving', { adapter: 'leaving' })
    const undisturbed = (await runTask(client, 'leaving', PROMPT, LONG)).text
    const { rest } = await longStream(client, 'leaving')
    // The stream may be over before the deletion comes: this holds the version as a slower one would.
    const { catalogue, residency } = server.server.rooms
    const lease = await residency.acquire(catalogue.resolve({ task: 'leaving' }, '*'))
    await client.put('/v1/tasks/leaving', { routes: [] })
    expect((await client.delete('/v1/adapters/leaving')).status).toBe(202)
    expect((await client.post<ErrorBody>('/v1/completions', { model: 'leaving@v1', prompt: 'x' })).status).toBe(404)
    expect(await text('lora-r8')).toBe(references.get('lora-r8'))
    expect(await rest).toBe(undisturbed)
    expect(await metric('draining_versions')).toBe(1)
    lease.release()
    await expect.poll(() => metric('draining_versions')).toBe(0)
    const { versions } = server.server.rooms.stats()
    await expect.poll(async () => (await blobFolders(server.store)).length).toBe(versions)
  })

  it('answers requests that wait for a place by the version they came for, deleted or not', async () => {
    const narrow = await startTestServer({ model: modelDir(FAMILY), maxBatch: 1, speculation: 0 })
    onTestFinished(() => narrow.close())
    const one = new Client(narrow.url)
    await one.upload('gone', loraWithAlpha(21))
    await one.put('/v1/tasks/gone', { adapter: 'gone' })
    const undisturbed = (await runTask(one, 'gone', PROMPT, TOKENS)).text
    await one.put('/v1/tasks/busy', { routes: [] })
    const busy = Array.from({ length: 12 }, () => runTask(one, 'busy', PROMPT, LONG))
    const waiting = runTask(one, 'gone', PROMPT, TOKENS)
    await expect
      .poll(async () => (await scrape(one)).get('troupe_queue_waiting'), { interval: 5, timeout: 10_000 })
      .toBeGreaterThan(0)
    const { catalogue, residency } = narrow.server.rooms
    const lease = await residency.acquire(catalogue.resolve({ task: 'gone' }, '*'))
    await one.put('/v1/tasks/gone', { routes: [] })
    expect((await one.delete('/v1/adapters/gone')).status).toBe(202)
    expect((await waiting).text).toBe(undisturbed)
    await Promise.all(busy)
    lease.release()
  })

  it('does not stop others while adapters are loaded (vLLM 13698, SGLang 8712)', async () => {
    await client.put('/v1/tasks/steady', { adapter: 'lora-r8' })
    const undisturbed = (await runTask(client, 'steady', PROMPT, LONG)).text
    const streams = await Promise.all(Array.from({ length: 4 }, () => longStream(client, 'steady')))
    const loads = [11, 12, 13, 14].map((alpha) => added(`loaded-${alpha}`, loraWithAlpha(alpha)))
    const texts = await Promise.all(streams.map(({ rest }) => rest))
    await Promise.all(loads)
    expect(new Set(texts)).toEqual(new Set([undisturbed]))
  })

  it('reads an adapter once, not at every step (vLLM 33791)', async () => {
    const counters = ['tier_loads_total{tier="memory"}', 'tier_loads_total{tier="device"}']
    await text('lora-r16')
    const before = await metrics(...counters)
    for (let i = 0; i < 5; i++) await text('lora-r16')
    expect(await metrics(...counters)).toEqual(before)
  })
})

describe('memory', () => {
  it('keeps every adapter at its true rank, whoever is beside it (vLLM 22782)', async () => {
    const alone = await startTestServer({ model: modelDir(FAMILY), maxBatch: 2 })
    onTestFinished(() => alone.close())
    const other = new Client(alone.url)
    const grown: number[] = []
    const said: number[][] = []
    let bytes = 0
    for (const adapter of ['lora-r16', 'lora-r4', 'lora-r8'] as const) {
      const { body } = await other.upload<Version>(adapter, referenceFiles(adapter))
      const plan = await other.post<{ adapters: { device_bytes: number }[] }>('/v1/adapters/plan', {
        adapters: [{ name: adapter }],
      })
      await complete(other, adapter, PROMPT, 1)
      const now = (await scrape(other)).get('troupe_engine_adapter_bytes') ?? 0
      grown.push(now - bytes)
      said.push([body.device_bytes, plan.body.adapters[0]!.device_bytes])
      bytes = now
    }
    // What the version and the plan say is what the engine takes, to the byte.
    expect(said).toEqual(grown.map((bytes) => [bytes, bytes]))
  })

  it('counts adapter memory and refuses what can never fit (vLLM 14450, SGLang 22864)', async () => {
    const narrow = await startTestServer({ model: modelDir(FAMILY), maxBatch: 2, memoryBytes: 150_000 })
    onTestFinished(() => narrow.close())
    const small = new Client(narrow.url)
    for (const adapter of ['lora-r4', 'lora-r8', 'lora-r16'] as const) {
      expect((await small.upload(adapter, referenceFiles(adapter))).status).toBe(201)
    }
    const adapters = [{ name: 'lora-r8' }, { name: 'lora-r16' }]
    const body = { model: 'model', prompt: PROMPT, max_tokens: 2, adapters }
    const refused = await small.post<ErrorBody>('/v1/completions', body)
    expect([refused.status, refused.body.error.code]).toEqual([400, 'invalid_request'])
    expect(refused.body.error.message).toMatch(/150000/)
    expect((await complete(small, 'lora-r4', PROMPT, TOKENS)).text).toBe(references.get('lora-r4'))
  })
})

describe('the store', () => {
  it('has all adapters after a restart (AIBrix 236)', async () => {
    const store = mkdtempSync(join(tmpdir(), 'troupe-restart-'))
    onTestFinished(() => rmSync(store, { recursive: true, force: true }))
    const first = await startTestServer({ model: modelDir(FAMILY), store })
    const before = await new Client(first.url).upload<Version>('kept', referenceFiles('lora-r8'))
    await new Client(first.url).put('/v1/tasks/kept', { adapter: 'kept' })
    await first.close()
    const second = await startTestServer({ model: modelDir(FAMILY), store })
    onTestFinished(() => second.close())
    const answer = await runTask(new Client(second.url), 'kept', PROMPT, TOKENS)
    expect(answer).toEqual({ text: references.get('lora-r8'), digests: [before.body.digest] })
  })

  it.each(['../escape', '..%2f..%2fescape', '/etc/escape', 'a/../../escape', 'a\\..\\escape'])(
    'does not climb out of the store by the name %s (vLLM 46287)',
    async (name) => {
      const { status, body } = await client.upload<ErrorBody>(name, loraWithAlpha(3))
      expect([400, 404]).toContain(status)
      expect(['invalid_request', 'not_found']).toContain(body.error.code)
      expect(existsSync(join(dirname(server.store), 'escape'))).toBe(false)
    },
  )

  it('does not climb out of the store by a file’s name', async () => {
    const { status } = await client.upload<ErrorBody>('files', {
      ...loraWithAlpha(3),
      '../../escape': Buffer.from('x'),
    })
    expect(status).toBeLessThan(500)
    expect(existsSync(join(server.store, 'escape'))).toBe(false)
    expect(existsSync(join(dirname(server.store), 'escape'))).toBe(false)
  })

  it.each(['lora-pickle', 'bn-pickle'])(
    'does not unpickle %s (SGLang 26789, 30165; TensorRT-LLM 13391)',
    async (bad) => {
      const { status, body } = await client.upload<ErrorBody>('pickled', badFiles(bad))
      expect([status, body.error.code]).toEqual([400, 'pickle_refused'])
      const { body: shown } = await client.get<{ versions: { state: string }[] }>('/v1/adapters/pickled')
      expect(new Set(shown.versions.map(({ state }) => state))).toEqual(new Set(['rejected']))
    },
  )
})

describe('operations', () => {
  it('tells which adapters are used and where they are (LoRAX 203, llm-d-router 2605)', async () => {
    const served = 'adapter_requests_total{adapter="lora-r8",version="v1"}'
    const before = await metric(served)
    await text('lora-r8')
    expect(await metric(served)).toBe(before + 1)
    expect(await metric('tier_versions{tier="memory"}')).toBeGreaterThanOrEqual(ADAPTERS.length)
    expect(await metric('engine_adapters')).toBeGreaterThan(0)
  })
})
