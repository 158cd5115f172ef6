import type { AddressInfo } from 'node:net'
import OpenAI from 'openai'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { testApp } from '../support/test-app.ts'
import type { TestApp } from '../support/test-app.ts'
import { bytesOf, textOf } from '../support/fake-text.ts'

let served: TestApp
let client: OpenAI

beforeAll(async () => {
  served = await testApp({
    tenants: [{ name: 'acme', keys: ['secret'] }],
    maxRequestsPerTenant: 4,
    settings: { maxContext: 1000 },
  })
  await served.app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = served.app.server.address() as AddressInfo
  client = new OpenAI({ baseURL: `http://127.0.0.1:${port}/v1`, apiKey: 'secret', maxRetries: 0 })
})
afterAll(() => served.app.close())
beforeEach(() => {
  served.engine.script = () => bytesOf('Hi you')
  served.engine.requests.length = 0
})

const TOOL = {
  type: 'function' as const,
  function: {
    name: 'weather',
    description: 'Now',
    parameters: { type: 'object', properties: { city: { type: 'string' } } },
  },
}
const CALLS =
  'Let me see.\n<tool_call>{"name": "weather", "arguments": {"city": "Oslo"}}</tool_call>\n<tool_call>{"name": "weather", "arguments": {}}</tool_call>'

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
    expect(served.engine.requests[0]?.sampling.temperature).toBe(1)
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

  it('offers tools and gets calls', async () => {
    served.engine.script = () => bytesOf(CALLS)
    const messages = [{ role: 'user' as const, content: 'hi' }]
    const answer = await client.chat.completions.create({
      model: 'fake-base',
      messages,
      tools: [TOOL],
      tool_choice: 'auto',
    })
    const [choice] = answer.choices
    expect(choice).toMatchObject({ finish_reason: 'tool_calls', message: { content: 'Let me see.' } })
    const calls = choice?.message.tool_calls ?? []
    expect(calls.map((call) => call.type === 'function' && call.function)).toEqual([
      { name: 'weather', arguments: '{"city": "Oslo"}' },
      { name: 'weather', arguments: '{}' },
    ])
    expect(new Set(calls.map(({ id }) => id)).size).toBe(2)
    const [prompt] = served.engine.requests
    expect(textOf(prompt!.tokens)).toContain('"name":"weather"')

    const results = calls.map(({ id }) => ({ role: 'tool' as const, tool_call_id: id, content: '5 °C' }))
    served.engine.script = () => bytesOf('Cold')
    const history = [...messages, choice!.message, ...results]
    const after = await client.chat.completions.create({ model: 'fake-base', messages: history, tools: [TOOL] })
    expect(after.choices[0]).toMatchObject({ finish_reason: 'stop', message: { content: 'Cold' } })
    expect(after.choices[0]?.message.tool_calls).toBeUndefined()
    const told = textOf(served.engine.requests[1]!.tokens)
    expect(told).toContain('"arguments":{"city":"Oslo"}')
    expect(told).toContain('tool: 5 °C')
  })

  it('streams calls, joined by its own helper', async () => {
    served.engine.script = () => bytesOf(CALLS)
    const body = { model: 'fake-base', messages: [{ role: 'user' as const, content: 'hi' }], tools: [TOOL] }
    const stream = client.chat.completions.stream(body)
    const seen: string[] = []
    for await (const chunk of stream) seen.push(chunk.choices[0]?.delta.content ?? '')
    expect(seen.join('')).toBe('Let me see.')
    const final = await stream.finalChatCompletion()
    expect(final.choices[0]).toMatchObject({ finish_reason: 'tool_calls', message: { content: 'Let me see.' } })
    expect(
      final.choices[0]?.message.tool_calls?.map((call) => call.type === 'function' && call.function.arguments),
    ).toEqual(['{"city": "Oslo"}', '{}'])
  })

  it('leaves calls as text where no tools are offered, or it is cut off', async () => {
    served.engine.script = () => bytesOf(CALLS)
    const body = { model: 'fake-base', messages: [{ role: 'user' as const, content: 'hi' }] }
    const plain = await client.chat.completions.create(body)
    expect(plain.choices[0]).toMatchObject({ finish_reason: 'stop', message: { content: CALLS } })
    const none = await client.chat.completions.create({ ...body, tools: [TOOL], tool_choice: 'none' })
    expect(none.choices[0]?.message.content).toBe(CALLS)
    expect(textOf(served.engine.requests[1]!.tokens)).not.toContain('weather')
    const cut = await client.chat.completions.create({ ...body, tools: [TOOL], max_tokens: 30 })
    expect(cut.choices[0]).toMatchObject({ finish_reason: 'length', message: { content: CALLS.slice(0, 30) } })
  })

  it('begins the call that it has to make', async () => {
    const add = { type: 'function' as const, function: { name: 'add', parameters: { type: 'object' } } }
    const body = { model: 'fake-base', messages: [{ role: 'user' as const, content: 'hi' }], tools: [TOOL, add] }
    served.engine.script = () => bytesOf(' {"city": "Oslo"}}\n</tool_call>')
    const choice = { type: 'function' as const, function: { name: 'weather' } }
    const named = await client.chat.completions.create({ ...body, tool_choice: choice })
    expect(named.choices[0]).toMatchObject({ finish_reason: 'tool_calls', message: { content: null } })
    const [call] = named.choices[0]?.message.tool_calls ?? []
    expect(call).toMatchObject({ function: { name: 'weather', arguments: '{"city": "Oslo"}' } })
    const prompts = () => served.engine.requests.map(({ tokens }) => textOf(tokens))
    expect(prompts().at(-1)).toMatch(/assistant: <tool_call>\n\{"name": "weather", "arguments":$/)

    const one = { ...body, tools: [TOOL], tool_choice: 'required' as const }
    const final = await client.chat.completions.stream(one).finalChatCompletion()
    expect(final.choices[0]?.message.tool_calls).toMatchObject([{ function: { name: 'weather' } }])
    expect(final.choices[0]?.message.content).toBeNull()
    expect(prompts().at(-1)).toMatch(/\{"name": "weather", "arguments":$/)

    served.engine.script = () => bytesOf(' "add", "arguments": {}}</tool_call>')
    const any = await client.chat.completions.create({ ...body, tool_choice: 'required', n: 2 })
    expect(any.choices.map(({ message }) => message.tool_calls)).toMatchObject([
      [{ function: { name: 'add', arguments: '{}' } }],
      [{ function: { name: 'add', arguments: '{}' } }],
    ])
    expect(prompts().at(-1)).toMatch(/assistant: <tool_call>\n\{"name":$/)
    const cut = await client.chat.completions.create({ ...body, tool_choice: 'required', max_tokens: 5 })
    expect(cut.choices[0]).toMatchObject({
      finish_reason: 'length',
      message: { content: '<tool_call>\n{"name": "add' },
    })
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
    const other = { type: 'function' as const, function: { name: 'other' } }
    const custom = { type: 'custom' as const, custom: { name: 'weather' } }
    const forced: [Partial<OpenAI.ChatCompletionCreateParamsNonStreaming>, string][] = [
      [{ tools: [TOOL], tool_choice: other }, 'names `other`, which is not among `tools`'],
      [{ tool_choice: 'required' as const }, 'there are no `tools`'],
      [
        { tools: [TOOL], tool_choice: custom },
        '`tool_choice.type` is "custom", which is not supported; known are "function"',
      ],
    ]
    for (const [fields, text] of forced)
      await expect(client.chat.completions.create({ ...chat, ...fields })).rejects.toMatchObject({
        status: 400,
        param: expect.stringContaining('tool_choice') as string,
        message: expect.stringContaining(text) as string,
      })
    const odd = { ...chat, response_format: { type: 'yaml' } }
    await expect(client.chat.completions.create(odd as never)).rejects.toBeInstanceOf(OpenAI.BadRequestError)
  })

  it('is told to come back later when the tenant has too much open', async () => {
    served.engine.tokenMs = 30
    const one = () => client.completions.create({ model: 'fake-base', prompt: 'a' })
    const results = await Promise.allSettled(Array.from({ length: 6 }, one))
    served.engine.tokenMs = 0
    const refused = results.filter((result) => result.status === 'rejected')
    expect(refused).toHaveLength(2)
    const error = refused[0]?.reason as InstanceType<typeof OpenAI.RateLimitError>
    expect(error).toBeInstanceOf(OpenAI.RateLimitError)
    expect(error.code).toBe('rate_limit_exceeded')
    expect(Number(error.headers.get('retry-after'))).toBeGreaterThan(0)
  })
})
