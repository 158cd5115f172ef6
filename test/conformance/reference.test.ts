import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Client } from '../support/client.ts'
import type { Completion, Sample } from '../support/conformance.ts'
import { TOLERANCE, complete, deviation, readReference, samplesOf, shuffled } from '../support/conformance.ts'
import type { RunningServer } from '../support/server.ts'
import { startTestServer } from '../support/server.ts'

const BATCH = 8
const FIXTURES = join(import.meta.dirname, '../fixtures/conformance')

/**
 * What the libraries do and Troupe says no to, with the reason; test/adapters and test/server hold the exact words.
 * The library's Average divides by the number of modules once more, which nobody can want; sums with scales are served instead.
 */
const DECLINED = /residual-twice|dora@|^average\(/

describe.each([
  'llama',
  'qwen2',
  'qwen3',
  'llama-methods',
  'qwen2-methods',
  'gpt2-methods',
  'phi3-methods',
  'llama-tokens',
  'qwen2-tokens',
  'gemma3-multimodal',
])('%s', (folder) => {
  const { model, cases, adapters, refused } = readReference(join(FIXTURES, folder))
  const samples = samplesOf(cases.filter(({ name }) => !DECLINED.test(name)))
  const declined = samplesOf(cases.filter(({ name }) => DECLINED.test(name)))
  let server: RunningServer
  let client: Client

  beforeAll(async () => {
    server = await startTestServer({ model, name: 'model', maxBatch: BATCH, stepTokens: 16 })
    client = new Client(server.url)
    for (const [name, dir] of adapters) {
      const answer = await client.uploadFolder(name, dir)
      expect(answer.status, `${name}: ${JSON.stringify(answer.body)}`).toBe(DECLINED.test(name) ? 400 : 201)
    }
  }, 600_000)
  afterAll(() => server.close())

  async function answered(sample: Sample): Promise<Completion> {
    const { status, body } = await complete(client, sample)
    expect(status, JSON.stringify(body)).toBe(200)
    return body
  }

  function check(sample: Sample, body: Completion): void {
    expect(body.choices[0]!.token_ids).toEqual(sample.prompt.greedy)
    expect(deviation(sample, body).logprobs).toBeLessThan(TOLERANCE)
  }

  it.each(samples)('$name alone', async (sample) => check(sample, await answered(sample)))

  if (samples.length > 0)
    it(`every case inside a mixed batch of ${BATCH}`, async () => {
      const order = shuffled(samples)
      expect(new Set(order).size).toBe(samples.length)
      for (let i = 0; i < order.length; i += BATCH) {
        const batch = order.slice(i, i + BATCH)
        const filler = order.slice(0, BATCH - batch.length)
        const bodies = await Promise.all([...batch, ...filler].map(answered))
        for (const [j, sample] of batch.entries()) check(sample, bodies[j]!)
      }
    })

  if (declined.length > 0)
    it('declines what it cannot serve exactly', async () => {
      for (const sample of declined)
        expect((await complete(client, sample)).status, sample.name).toBeGreaterThanOrEqual(400)
    })

  if (refused.size > 0)
    it('refuses files that mean something else', async () => {
      for (const [name, dir] of refused) expect((await client.uploadFolder(name, dir)).status, name).toBe(400)
    })
})
