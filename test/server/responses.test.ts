import type { AddressInfo } from 'node:net'
import OpenAI from 'openai'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { ResponseBody } from '../../src/server/apis/responses/schema.ts'
import { FIELD_RULES } from '../../src/server/fields/table.ts'
import { bytesOf, textOf } from '../support/fake-text.ts'
import { interfaceMembers } from '../support/interface-members.ts'
import { testApp } from '../support/test-app.ts'
import type { TestApp } from '../support/test-app.ts'

let served: TestApp
let client: OpenAI

beforeAll(async () => {
  served = await testApp({ settings: { maxContext: 600 } })
  await served.app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = served.app.server.address() as AddressInfo
  client = new OpenAI({ baseURL: `http://127.0.0.1:${port}/v1`, apiKey: 'none', maxRetries: 0 })
})
afterAll(() => served.app.close())
beforeEach(() => {
  served.engine.script = () => bytesOf('Hello!')
  served.engine.requests.length = 0
})

const TOOL = {
  type: 'function' as const,
  name: 'weather',
  description: 'Weather in a city',
  parameters: { type: 'object', properties: { city: { type: 'string' } } },
  strict: null,
}
const CALL = '<tool_call>{"name": "weather", "arguments": {"city": "Bern"}}</tool_call>'

function lastPrompt(): string {
  return textOf(served.engine.requests.at(-1)?.tokens ?? [])
}

describe('POST /v1/responses', () => {
  it('knows every field of OpenAI’s own package', () => {
    const fields = interfaceMembers('responses/responses', 'ResponseCreateParamsBase')
    expect(fields.filter((field) => !(field in ResponseBody.properties) && !FIELD_RULES.has(field))).toEqual([])
  })

  it('answers a text, and repeats what was asked', async () => {
    const response = await client.responses.create({
      ...{ model: 'json', input: 'hi', instructions: 'Be brief.', temperature: 0.5, store: true },
      ...{ metadata: { a: 'b' }, max_output_tokens: 50, reasoning: { effort: 'low' } },
    })
    expect(response.output_text).toBe('Hello!')
    expect(response).toMatchObject({
      ...{ object: 'response', status: 'completed', store: false, temperature: 0.5, metadata: { a: 'b' } },
      ...{ instructions: 'Be brief.', max_output_tokens: 50, previous_response_id: null },
      output: [{ type: 'message', role: 'assistant', status: 'completed', content: [{ type: 'output_text' }] }],
      usage: { output_tokens: 6, input_tokens_details: { cached_tokens: 0 } },
    })
    expect(lastPrompt()).toBe('reasoning_effort="low"\nsystem: Be brief.\nuser: hi\nassistant: ')
    const { response: raw } = await client.responses.create({ model: 'json', input: 'x', store: true }).withResponse()
    expect(raw.headers.get('x-troupe-ignored')).toBe('store')
  })

  it('says that it was cut off', async () => {
    const response = await client.responses.create({ model: 'json', input: 'hi', max_output_tokens: 2 })
    expect(response).toMatchObject({
      status: 'incomplete',
      incomplete_details: { reason: 'max_output_tokens' },
      output: [{ status: 'incomplete', content: [{ text: 'He' }] }],
    })
  })

  it('streams every step as a typed event', async () => {
    const stream = await client.responses.create({ model: 'json', input: 'hi', stream: true })
    const events: OpenAI.Responses.ResponseStreamEvent[] = []
    for await (const event of stream) events.push(event)
    expect(events.map(({ type }) => type).filter((type, i, all) => type !== all[i - 1])).toEqual([
      'response.created',
      'response.in_progress',
      'response.output_item.added',
      'response.content_part.added',
      'response.output_text.delta',
      'response.output_text.done',
      'response.content_part.done',
      'response.output_item.done',
      'response.completed',
    ])
    expect(events.map(({ sequence_number: number }) => number)).toEqual(events.map((_, i) => i))
    const text = events.flatMap((event) => (event.type === 'response.output_text.delta' ? [event.delta] : [])).join('')
    expect(text).toBe('Hello!')
    const last = events.at(-1)
    expect(last?.type === 'response.completed' && last.response.output).toMatchObject([{ content: [{ text }] }])
    const whole = await client.responses.stream({ model: 'json', input: 'hi' }).finalResponse()
    expect(whole.output_text).toBe('Hello!')
  })

  it('calls tools, and takes what they gave', async () => {
    served.engine.script = () => bytesOf(`Let me see. ${CALL}${CALL}`)
    const ask = { model: 'json', input: 'Weather?', tools: [TOOL] }
    const response = await client.responses.create({ ...ask, parallel_tool_calls: false })
    const [said, call, ...more] = response.output
    expect(said).toMatchObject({ type: 'message', content: [{ text: 'Let me see.' }] })
    expect(call).toMatchObject({ type: 'function_call', name: 'weather', arguments: '{"city": "Bern"}' })
    expect(more).toEqual([])
    const events: string[] = []
    for await (const event of await client.responses.create({ ...ask, stream: true })) events.push(event.type)
    expect(events.filter((type) => type === 'response.function_call_arguments.done')).toHaveLength(2)
    const id = call?.type === 'function_call' ? call.call_id : ''
    const output = { type: 'function_call_output' as const, call_id: id, output: 'Sunny' }
    // The package's own types do not take every kind of answer as input.
    const answered = response.output as OpenAI.Responses.ResponseInputItem[]
    const history = [{ role: 'user' as const, content: 'Weather?' }, ...answered, output]
    await client.responses.create({ ...ask, input: history })
    expect(lastPrompt()).toContain(
      `assistant: Let me see.[{"id":"${id}","type":"function","function":{"name":"weather","arguments":{"city":"Bern"}}}]\ntool: Sunny\n`,
    )
    served.engine.script = () => bytesOf(' {"city": "Bern"}}</tool_call>')
    const forced = await client.responses.create({ ...ask, tool_choice: { type: 'function', name: 'weather' } })
    expect(forced.output).toMatchObject([{ type: 'function_call', name: 'weather' }])
  })

  it.each([
    [{ previous_response_id: 'resp_1' }, 'previous_response_id', 'not stored'],
    [{ conversation: 'c' }, 'conversation', 'not stored'],
    [{ background: true }, 'background', 'leave it out'],
    [{ truncation: 'auto' as const }, 'truncation', 'shorten it'],
    [{ tools: [{ type: 'web_search' as const }] }, 'tools[0].type', '"function"'],
    [{ input: [{ type: 'item_reference' as const, id: 'x' }] }, 'input[0].type', 'not supported'],
    [{ input: 'x'.repeat(700) }, 'prompt', 'maximum context length'],
  ])('refuses %j', async (fields, param, text) => {
    await expect(client.responses.create({ model: 'json', input: 'hi', ...fields })).rejects.toMatchObject({
      ...{ status: 400, param, message: expect.stringContaining(text) as string },
    })
  })

  it('ends a stream that fails with an error event', async () => {
    served.engine.failAfter = 2
    const stream = await client.responses.create({ model: 'json', input: 'hi', stream: true })
    const read = async (): Promise<void> => {
      for await (const event of stream) void event
    }
    await expect(read()).rejects.toMatchObject({ code: 'internal' })
    served.engine.failAfter = Infinity
  })

  it('reports log-probabilities when asked to', async () => {
    const include = ['message.output_text.logprobs' as const]
    const response = await client.responses.create({ model: 'json', input: 'hi', include, top_logprobs: 2 })
    const [message] = response.output
    const part = message?.type === 'message' ? message.content[0] : undefined
    expect(part?.type === 'output_text' && part.logprobs).toHaveLength(6)
    expect(part).toMatchObject({
      logprobs: [{ token: 'H', logprob: -0.5, top_logprobs: [{}, {}] }, {}, {}, {}, {}, {}],
    })
  })
})
