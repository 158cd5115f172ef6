import type { AddressInfo } from 'node:net'
import OpenAI from 'openai'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { fakeApp } from '../support/fake-app.ts'
import type { FakeApp } from '../support/fake-app.ts'
import { bytesOf } from '../support/fake-text.ts'

let fake: FakeApp
let client: OpenAI

beforeAll(async () => {
  fake = await fakeApp({ tenants: [{ name: 'acme', keys: ['secret'] }], maxRequestsPerTenant: 4 })
  await fake.app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = fake.app.server.address() as AddressInfo
  client = new OpenAI({ baseURL: `http://127.0.0.1:${port}/v1`, apiKey: 'secret', maxRetries: 0 })
})
afterAll(() => fake.app.close())
beforeEach(() => {
  fake.engine.script = () => bytesOf('Hi you')
  fake.engine.requests.length = 0
})

describe('the openai package as a client', () => {
  it('chats', async () => {
    const answer = await client.chat.completions.create({
      model: 'json',
      messages: [
        { role: 'developer', content: 'Be kind.' },
        { role: 'user', content: 'hello' },
      ],
      logprobs: true,
      top_logprobs: 2,
      max_completion_tokens: 3,
    })
    expect(answer.choices[0]).toMatchObject({ finish_reason: 'length', message: { role: 'assistant', content: 'Hi ' } })
    const first = answer.choices[0]?.logprobs?.content?.[0]
    expect(first).toMatchObject({ token: 'H', bytes: [72], logprob: -0.5 })
    expect(first?.top_logprobs.map(({ token }) => token)).toEqual(['H', 'I'])
    expect(answer.usage?.completion_tokens).toBe(3)
    expect(answer).toMatchObject({ provenance: { adapters: [{ name: 'json', version: 'v2' }] } })
    expect(fake.engine.requests[0]?.sampling.temperature).toBe(1)
  })

  it('streams a chat, with usage in the last chunk', async () => {
    const stream = await client.chat.completions.create({
      model: 'json@v1',
      messages: [{ role: 'user', content: 'hello' }],
      stream: true,
      stream_options: { include_usage: true },
    })
    const chunks = []
    for await (const chunk of stream) chunks.push(chunk)
    expect(chunks[0]?.choices[0]?.delta.role).toBe('assistant')
    expect(chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('')).toBe('Hi you')
    expect(chunks.at(-2)?.choices[0]?.finish_reason).toBe('stop')
    expect(chunks.at(-1)).toMatchObject({
      choices: [],
      usage: { completion_tokens: 6 },
      provenance: { adapters: [{ name: 'json', version: 'v1' }] },
    })
    expect(chunks.slice(0, -1).every(({ usage }) => usage === null)).toBe(true)
  })

  it('completes text and token ids', async () => {
    const answer = await client.completions.create({ model: 'fake-base', prompt: ['a', 'b'], n: 2, max_tokens: 2 })
    expect(answer.choices.map(({ index, text }) => [index, text])).toEqual([0, 1, 2, 3].map((index) => [index, 'Hi']))
    const ids = await client.completions.create({ model: 'fake-base', prompt: [72, 73] })
    expect(ids.usage?.prompt_tokens).toBe(2)
    const stream = await client.completions.create({ model: 'fake-base', prompt: 'a', stream: true })
    let text = ''
    for await (const chunk of stream) text += chunk.choices[0]?.text ?? ''
    expect(text).toBe('Hi you')
  })

  it('lists models and gets one', async () => {
    const ids = []
    for await (const model of client.models.list()) ids.push(model.id)
    expect(ids).toEqual(['fake-base', 'extract', 'json', 'json@v1', 'json@v2'])
    expect(await client.models.retrieve('json@v2')).toMatchObject({ id: 'json@v2', troupe: { kind: 'version' } })
    await expect(client.models.retrieve('nope')).rejects.toBeInstanceOf(OpenAI.NotFoundError)
  })

  it('gets its own error classes', async () => {
    const chat = { model: 'json', messages: [{ role: 'user' as const, content: 'x' }] }
    const stranger = client.withOptions({ apiKey: 'wrong' })
    await expect(stranger.models.list()).rejects.toMatchObject({ status: 401, code: 'invalid_api_key' })
    await expect(stranger.models.list()).rejects.toBeInstanceOf(OpenAI.AuthenticationError)
    await expect(client.chat.completions.create({ ...chat, model: 'nope' })).rejects.toMatchObject({
      status: 404,
      code: 'model_not_found',
      param: 'model',
    })
    const withTools = { ...chat, tools: [{ type: 'function' as const, function: { name: 'f' } }] }
    await expect(client.chat.completions.create(withTools)).rejects.toMatchObject({
      status: 400,
      param: 'tools',
      message: expect.stringContaining('tool calling is not supported') as string,
    })
    const json = { ...chat, response_format: { type: 'json_object' as const } }
    await expect(client.chat.completions.create(json)).rejects.toBeInstanceOf(OpenAI.BadRequestError)
  })

  it('is told to come back later when the tenant has too much open', async () => {
    fake.engine.tokenMs = 30
    const one = () => client.completions.create({ model: 'fake-base', prompt: 'a' })
    const results = await Promise.allSettled(Array.from({ length: 6 }, one))
    fake.engine.tokenMs = 0
    const refused = results.filter((result) => result.status === 'rejected')
    expect(refused).toHaveLength(2)
    const error = refused[0]?.reason as InstanceType<typeof OpenAI.RateLimitError>
    expect(error).toBeInstanceOf(OpenAI.RateLimitError)
    expect(error.code).toBe('rate_limited')
    expect(Number(error.headers.get('retry-after'))).toBeGreaterThan(0)
  })
})
