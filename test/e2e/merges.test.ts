import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Client } from '../support/client.ts'
import { adapterFiles, modelDir } from '../support/fixtures.ts'
import type { RunningServer } from '../support/server.ts'
import { startTestServer } from '../support/server.ts'

interface Version {
  readonly version: string
  readonly digest: string
  readonly source: string
  readonly state: string
  readonly description: string
}
interface Completion {
  readonly choices: readonly { readonly text: string; readonly logprobs: { readonly token_logprobs: number[] } }[]
}
interface Refusal {
  readonly error: { readonly code: string; readonly message: string }
}

const METHODS = join(import.meta.dirname, '../fixtures/conformance/llama-methods/adapters')

let server: RunningServer
let client: Client

beforeAll(async () => {
  server = await startTestServer({ model: modelDir('llama'), maxBatch: 2 })
  client = new Client(server.url)
  await client.upload('r4', adapterFiles('llama', 'lora-r4'))
  await client.upload('r8', adapterFiles('llama', 'lora-r8'))
  for (const name of ['lora-second', 'merge-linear', 'merge-negative', 'merge-cat', 'dora', 'lora-bias']) {
    expect((await client.uploadFolder(name, join(METHODS, name))).status).toBe(201)
  }
})
afterAll(() => server.close())

async function merge<T>(name: string, combination: string, weights: Readonly<Record<string, number>>) {
  const adapters = Object.entries(weights).map(([adapter, weight]) => ({ name: adapter, weight }))
  return client.post<T>(`/v1/adapters/${name}/merges`, { combination, adapters })
}

async function answer(model: string): Promise<{ text: string; logprobs: number[] }> {
  const body = { model, prompt: 'Bruno sold', max_tokens: 24, temperature: 0, logprobs: 1 }
  const { body: completion } = await client.post<Completion>('/v1/completions', body)
  const [choice] = completion.choices
  return { text: choice!.text, logprobs: choice!.logprobs.token_logprobs }
}

describe('merging in the server', () => {
  it.each([
    ['merge-linear', 'linear', { r4: 0.7, 'lora-second': 0.5 }],
    ['merge-negative', 'linear', { r4: 0.7, 'lora-second': -0.5 }],
    ['merge-cat', 'cat', { r4: 0.7, r8: 0.5 }],
  ])('gives the adapter that PEFT merged: %s', async (reference, combination, weights) => {
    const merged = await merge<Version>(`our-${reference}`, combination, weights)
    expect([merged.status, merged.body]).toMatchObject([201, { version: 'v1', state: 'ready', source: 'merge' }])
    const [ours, theirs] = [await answer(`our-${reference}`), await answer(reference)]
    expect(ours.text).toBe(theirs.text)
    expect(ours.text).not.toBe((await answer('model')).text)
    const largest = Math.max(...ours.logprobs.map((value, i) => Math.abs(value - theirs.logprobs[i]!)))
    expect(largest).toBeLessThan(1e-3)
    const again = await merge<Version>(`our-${reference}`, combination, weights)
    expect([again.status, again.body.digest]).toEqual([200, merged.body.digest])
  })

  it('refuses by name what cannot be merged, and keeps serving', async () => {
    const refused = async (
      combination: string,
      weights: Readonly<Record<string, number>>,
    ): Promise<Refusal['error']> => {
      const { status, body } = await merge<Refusal>('refused', combination, weights)
      expect(status).toBe(400)
      return body.error
    }
    expect((await refused('cat', { r4: 1, dora: 1 })).message).toContain('dora@v1 is of the method dora')
    expect((await refused('cat', { r4: 1, 'lora-bias': 1 })).message).toContain('lora-bias@v1 has biases (lora_bias)')
    expect((await refused('linear', { r4: 1, r8: 1 })).message).toContain('"linear" needs equal ranks')
    expect((await client.get('/v1/adapters/refused')).status).toBe(404)
    // Weights of zero make an adapter that does nothing: like an upload of one, it is kept in mind as rejected.
    expect((await refused('linear', { r4: 0 })).code).toBe('adapter_has_no_effect')
    const { body } = await client.get<{ versions: Version[] }>('/v1/adapters/refused')
    expect(body.versions).toMatchObject([{ state: 'rejected', source: 'merge' }])
    expect((await answer('r4')).text).not.toBe('')
  })
})
