import type { AddressInfo } from 'node:net'
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { HumanMessage, ToolMessage } from '@langchain/core/messages'
import { tool } from '@langchain/core/tools'
import { ChatOpenAI } from '@langchain/openai'
import { generateText, jsonSchema, stepCountIs, streamText, tool as aiTool } from 'ai'
import OpenAI from 'openai'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { bytesOf, textOf } from '../support/fake-text.ts'
import { testApp } from '../support/test-app.ts'
import type { TestApp } from '../support/test-app.ts'

let served: TestApp
let baseURL: string

beforeAll(async () => {
  served = await testApp({ tenants: [{ name: 'acme', keys: ['secret'] }], settings: { maxContext: 4000 } })
  await served.app.listen({ port: 0, host: '127.0.0.1' })
  baseURL = `http://127.0.0.1:${(served.app.server.address() as AddressInfo).port}/v1`
})
afterAll(() => served.app.close())
beforeEach(() => {
  served.engine.script = () => bytesOf('Hello!')
  served.engine.requests.length = 0
})

const CALL = '<tool_call>{"name": "weather", "arguments": {"city": "Bern"}}</tool_call>'

function lastPrompt(): string {
  return textOf(served.engine.requests.at(-1)?.tokens ?? [])
}

/** Calls the tool first, then says what it gave. */
function callThenAnswer(): void {
  served.engine.script = (request) => bytesOf(textOf(request.tokens).includes('tool: ') ? 'Sunny.' : CALL)
}

describe('the AI SDK with its OpenAI-compatible provider', () => {
  const model = () => createOpenAICompatible({ name: 'troupe', baseURL, apiKey: 'secret', includeUsage: true })('json')

  it('generates text', async () => {
    const { text, usage, finishReason } = await generateText({
      ...{ model: model(), system: 'Be kind.', prompt: 'Hi', temperature: 0, maxOutputTokens: 50, seed: 3 },
    })
    expect([text, finishReason, usage.outputTokens]).toEqual(['Hello!', 'stop', 6])
    expect(lastPrompt()).toBe('system: Be kind.\nuser: Hi\nassistant: ')
  })

  it('streams text', async () => {
    const { textStream, usage } = streamText({ model: model(), prompt: 'Hi' })
    let text = ''
    for await (const piece of textStream) text += piece
    expect(text).toBe('Hello!')
    expect((await usage).outputTokens).toBe(6)
  })

  it('calls a tool and goes on with what it gave', async () => {
    callThenAnswer()
    const weather = aiTool({
      description: 'Weather',
      inputSchema: jsonSchema<{ city: string }>({ type: 'object', properties: { city: { type: 'string' } } }),
      execute: async ({ city }) => `sun in ${city}`,
    })
    const { text, steps } = await generateText({
      ...{ model: model(), prompt: 'Weather?', tools: { weather }, stopWhen: stepCountIs(3) },
    })
    expect([text, steps.length]).toEqual(['Sunny.', 2])
    expect(lastPrompt()).toContain('tool: sun in Bern')
  })
})

describe('LangChain', () => {
  const model = () =>
    new ChatOpenAI({ model: 'json', apiKey: 'secret', configuration: { baseURL }, maxRetries: 0, temperature: 0 })

  it('invokes and streams', async () => {
    expect((await model().invoke('Hi')).text).toBe('Hello!')
    let text = ''
    for await (const chunk of await model().stream('Hi')) text += chunk.text
    expect(text).toBe('Hello!')
  })

  it('binds tools, and sends their results back', async () => {
    callThenAnswer()
    const weather = tool(async ({ city }: { city: string }) => `sun in ${city}`, {
      ...{ name: 'weather', description: 'Weather', schema: z.object({ city: z.string() }) },
    })
    const bound = model().bindTools([weather])
    const question = new HumanMessage('Weather?')
    const answer = await bound.invoke([question])
    expect(answer.tool_calls).toMatchObject([{ name: 'weather', args: { city: 'Bern' } }])
    const result = new ToolMessage({ content: 'sun', tool_call_id: answer.tool_calls?.[0]?.id ?? '' })
    expect((await bound.invoke([question, answer, result])).text).toBe('Sunny.')
    expect(lastPrompt()).toContain('tool: sun\n')
  })

  it('tells that a prompt does not fit into the context', async () => {
    await expect(model().invoke('x'.repeat(5000))).rejects.toMatchObject({ name: 'ContextOverflowError' })
  })
})

describe('the openai package', () => {
  const client = () => new OpenAI({ baseURL, apiKey: 'secret', maxRetries: 0 })

  it('runs tools by itself', async () => {
    callThenAnswer()
    const runner = client().chat.completions.runTools({
      model: 'json',
      messages: [{ role: 'user', content: 'Weather?' }],
      tools: [
        {
          type: 'function',
          function: {
            ...{ name: 'weather', description: 'Weather', parameters: { type: 'object', properties: {} } },
            parse: JSON.parse,
            function: ({ city }: { city: string }) => `sun in ${city}`,
          },
        },
      ],
    })
    expect(await runner.finalContent()).toBe('Sunny.')
    expect(lastPrompt()).toContain('tool: sun in Bern')
  })

  it('streams with its own helper', async () => {
    const stream = client().chat.completions.stream({ model: 'json', messages: [{ role: 'user', content: 'Hi' }] })
    expect(await stream.finalContent()).toBe('Hello!')
  })
})
