import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Client } from '../support/client.ts'
import { modelDir } from '../support/fixtures.ts'
import type { RunningServer } from '../support/server.ts'
import { startTestServer } from '../support/server.ts'
import { fuzzReader, fuzzUploads } from './runs.ts'
import { mutate } from './mutate.ts'

describe('damaged adapters', () => {
  let server: RunningServer
  beforeAll(async () => {
    server = await startTestServer({ model: modelDir('llama'), name: 'model', maxBatch: 2 })
  })
  afterAll(() => server.close())

  it('are refused by the reader with a reason, whatever is damaged', async () => {
    const { violations, figures } = await fuzzReader({ seed: 2, from: 0, count: 400, seconds: 50, maxMs: 20_000 })
    expect(violations).toEqual([])
    expect(figures.refused).toBeGreaterThan(100)
  })

  it('are refused by the upload route with a reason, and the server lives on', async () => {
    const client = new Client(server.url)
    const { violations, figures } = await fuzzUploads(client, {
      seed: 3,
      from: 0,
      count: 60,
      seconds: 50,
      maxMs: 20_000,
    })
    expect(violations).toEqual([])
    expect(figures.refused).toBeGreaterThan(10)
    expect((await client.get('/health/ready')).status).toBe(200)
  })

  it('are the same for the same seed and index', () => {
    const files = { 'adapter_config.json': Buffer.from('{"r": 4, "target_modules": ["q_proj"]}') }
    const [first, again] = [mutate(files, 7, 11), mutate(files, 7, 11)]
    expect(Object.keys(again)).toEqual(Object.keys(first))
    expect(Object.values(again)).toEqual(Object.values(first))
    expect(new Set(Array.from({ length: 50 }, (_, i) => JSON.stringify(mutate(files, 7, i)))).size).toBeGreaterThan(40)
  })
})
