import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { ChatBody } from '../../src/server/apis/chat-completions/schema.ts'
import { CompletionBody } from '../../src/server/apis/completions/schema.ts'
import { openAiReference } from '../../src/server/openai-reference.ts'
import { FIELD_RULES } from '../../src/server/fields/table.ts'
import { EOS, textOf } from '../support/fake-text.ts'
import { interfaceMembers } from '../support/interface-members.ts'
import { testApp } from '../support/test-app.ts'
import type { TestApp } from '../support/test-app.ts'

let served: TestApp

beforeAll(async () => {
  served = await testApp({ settings: { maxContext: 400 } })
})
afterAll(() => served.app.close())
beforeEach(() => {
  served.engine.requests.length = 0
})

const USER = { role: 'user', content: 'hi' }

async function chat(fields: object, on = served) {
  const payload = { model: 'json', messages: [USER], ...fields }
  return on.call({ method: 'POST', url: '/v1/chat/completions', payload })
}

async function complete(fields: object) {
  return served.call({ method: 'POST', url: '/v1/completions', payload: { model: 'json', prompt: 'hi', ...fields } })
}

function lastPrompt(): string {
  return textOf(served.engine.requests.at(-1)?.tokens ?? [])
}

describe('the table of fields', () => {
  it.each([
    ['chat/completions/completions', 'ChatCompletionCreateParamsBase', ChatBody],
    ['completions', 'CompletionCreateParamsBase', CompletionBody],
  ] as const)('knows every field of %s in OpenAI’s own package', (file, name, body) => {
    const unknown = interfaceMembers(file, name).filter(
      (field) => !(field in body.properties) && !FIELD_RULES.has(field),
    )
    expect(unknown).toEqual([])
  })

  it('is written down in docs/openai.md', () => {
    const committed = readFileSync(new URL('../../docs/openai.md', import.meta.url), 'utf8')
    expect(committed, 'run `npm run openapi`').toBe(openAiReference())
  })

  it('has no rule for what a schema honours', () => {
    const honoured = [...Object.keys(ChatBody.properties), ...Object.keys(CompletionBody.properties)]
    const anywhere = [...FIELD_RULES.values()].flat().filter(({ apis }) => apis === null)
    expect(anywhere.map(({ field }) => field).filter((field) => honoured.includes(field))).toEqual([])
  })
})

describe('fields without effect', () => {
  it('are taken and named once in a header, unknown ones too', async () => {
    const response = await chat({
      ...{
        store: true,
        metadata: { a: 'b' },
        service_tier: 'auto',
        safety_identifier: 'x',
        made_up: 1,
        'bad\r\nname': 2,
      },
      ...{ prompt_cache_key: 'k', verbosity: 'low', user: 'u', parallel_tool_calls: true, modalities: ['text'] },
      ...{ stream: true, stream_options: { include_usage: true, include_obfuscation: true } },
      messages: [
        { ...USER, odd: 1 },
        { ...USER, odd: 2 },
      ],
    })
    expect(response.statusCode, response.body).toBe(200)
    expect(response.headers['x-troupe-ignored']).toBe(
      'messages[].odd, store, metadata, service_tier, safety_identifier, made_up, bad__name, prompt_cache_key, verbosity, ' +
        'stream_options.include_obfuscation',
    )
    expect((await chat({})).headers).not.toHaveProperty('x-troupe-ignored')
  })

  it('are refused when the server is strict, as far as nobody knows them', async () => {
    const strict = await testApp({ settings: { strictRequests: true } })
    expect((await chat({ store: true }, strict)).statusCode).toBe(200)
    const refused = await chat({ tempreature: 1 }, strict)
    expect([refused.statusCode, refused.json()]).toMatchObject([400, { error: { param: 'tempreature' } }])
    await strict.app.close()
  })

  it.each(Object.keys(ChatBody.properties).filter((field) => field !== 'model' && field !== 'messages'))(
    '%s: null means "not given"',
    async (field) => {
      const response = await chat({ [field]: null })
      expect(response.statusCode, response.body).toBe(200)
      expect(response.headers).not.toHaveProperty('x-troupe-ignored')
    },
  )
})

describe('fields that would change the answer', () => {
  it.each([
    [{ modalities: ['text', 'audio'] }, 'modalities', 'answers with text'],
    [{ audio: { voice: 'x' } }, 'audio', 'answers with text'],
    [{ functions: [{ name: 'f' }] }, 'functions', 'send `tools`'],
    [{ web_search_options: {} }, 'web_search_options', 'searches nothing'],
    [{ min_tokens: 5 }, 'min_tokens', '`ignore_eos`'],
    [{ mirostat: 2 }, 'mirostat', '`top_p`'],
    [{ repeat_last_n: 64, repeat_penalty: 1.1 }, 'repeat_last_n', 'the whole text'],
    [{ max_new_tokens: 5 }, 'max_new_tokens', 'send `max_tokens`'],
    [{ n: 17 }, 'n', 'at most 16'],
    [{ messages: [{ ...USER, function_call: { name: 'f' } }] }, 'messages[0].function_call', '`tool_calls`'],
  ])('%j is refused by name, with the way out', async (fields, param, text) => {
    const response = await chat(fields)
    expect(response.json(), response.body).toMatchObject({ error: { code: 'invalid_request', param } })
    expect(response.json<{ error: { message: string } }>().error.message).toContain(text)
  })

  it.each([
    { functions: [] },
    { function_call: 'none' },
    { use_beam_search: false },
    { min_tokens: 0 },
    { mirostat: 0, typical_p: 1, dry_multiplier: 0, repeat_last_n: 64, samplers: null },
    { store: false, logit_bias: {}, tools: [], stop: '' },
    { response_format: { type: 'text' } },
  ])('%j asks for what happens anyway', async (fields) => {
    const response = await chat(fields)
    expect(response.statusCode, response.body).toBe(200)
    expect(response.headers).not.toHaveProperty('x-troupe-ignored')
  })
})

describe('messages as clients dump them', () => {
  it('are taken with every field of an answer sent back', async () => {
    const answer = {
      ...{ role: 'assistant', content: null, refusal: null, annotations: [], audio: null, function_call: null },
      tool_calls: [
        {
          ...{ id: 'c1', type: 'function', index: 0 },
          function: { name: 'f', arguments: '{"a": 1}', parsed_arguments: { a: 1 } },
        },
        { function: { name: 'g', arguments: '{"a": ' } },
        { id: 'c3', type: 'function', function: { name: 'h', arguments: { b: 2 } } },
      ],
    }
    const result = { role: 'tool', tool_call_id: 'c1', content: [{ type: 'text', text: 'fine' }], name: null }
    const response = await chat({
      messages: [USER, answer, result, { role: 'assistant', content: '', tool_calls: [] }],
    })
    expect(response.statusCode, response.body).toBe(200)
    expect(lastPrompt()).toBe(
      'user: hi\nassistant: [' +
        '{"id":"c1","type":"function","function":{"name":"f","arguments":{"a":1}}},' +
        '{"type":"function","function":{"name":"g","arguments":"{\\"a\\": "}},' +
        '{"id":"c3","type":"function","function":{"name":"h","arguments":{"b":2}}}]\n' +
        'tool: fine\nassistant: \nassistant: ',
    )
  })

  it('are taken in parts, with marks for other servers’ caches, thoughts and refusals', async () => {
    const parts = [
      { type: 'text', text: 'a', cache_control: { type: 'ephemeral' } },
      { type: 'thinking', thinking: 'hm' },
      { type: 'refusal', refusal: 'no' },
      { type: 'output_text', text: 'b', annotations: [] },
      'c',
    ]
    const messages = [
      USER,
      { role: 'assistant', content: parts },
      { role: 'assistant', content: null, refusal: 'never' },
    ]
    expect((await chat({ messages: [...messages, USER] })).statusCode).toBe(200)
    expect(lastPrompt()).toBe('user: hi\nassistant: anobc\nassistant: never\nuser: hi\nassistant: ')
  })

  it('never become special tokens, unless the request asks for it', async () => {
    const messages = [{ role: 'user', content: 'a</s>b' }]
    await chat({ messages })
    const plain = [...served.engine.requests.at(-1)!.tokens]
    expect(plain).not.toContain(EOS)
    expect(textOf(plain)).toBe('user: a</s>b\nassistant: ')
    await chat({ messages, parse_special: true })
    expect(served.engine.requests.at(-1)!.tokens).toContain(EOS)
    const tool = { type: 'function', function: { name: 'f', description: '</s>' } }
    await chat({ messages: [USER], tools: [tool] })
    expect(served.engine.requests.at(-1)!.tokens).not.toContain(EOS)
    await complete({ prompt: 'a</s>b' })
    expect(served.engine.requests.at(-1)!.tokens).toContain(EOS)
    await complete({ prompt: 'a</s>b', parse_special: false })
    expect(served.engine.requests.at(-1)!.tokens).not.toContain(EOS)
    const input = { method: 'POST', url: '/v1/tasks/extract/generate', payload: { input: 'a</s>b' } } as const
    await served.call(input)
    expect(served.engine.requests.at(-1)!.tokens).not.toContain(EOS)
  })
})

describe('fields that other servers added', () => {
  it('reach the chat template, or are named where it does not read them', async () => {
    const known = await chat({ chat_template_kwargs: { enable_thinking: false }, reasoning_effort: 'low' })
    expect(lastPrompt()).toBe('enable_thinking=false\nreasoning_effort="low"\nuser: hi\nassistant: ')
    expect(known.headers).not.toHaveProperty('x-troupe-ignored')
    const unread = await chat({ chat_template_kwargs: { colour: 1 }, documents: [{ text: 'x' }] })
    expect(unread.headers['x-troupe-ignored']).toBe('chat_template_kwargs.colour, documents')
    const own = await chat({ chat_template_kwargs: { messages: [] } })
    expect(own.json()).toMatchObject({ error: { param: 'chat_template_kwargs.messages' } })
  })

  it('let the last message go on', async () => {
    const messages = [USER, { role: 'assistant', content: 'So' }]
    expect((await chat({ messages, continue_final_message: true, add_generation_prompt: false })).statusCode).toBe(200)
    expect(lastPrompt()).toBe('user: hi\nassistant: So')
    const both = await chat({ messages, continue_final_message: true, add_generation_prompt: true })
    expect(both.json()).toMatchObject({ error: { param: 'continue_final_message' } })
  })

  it('cut prompts, end answers and keep what ended them', async () => {
    await complete({ prompt: 'abcdef', truncate_prompt_tokens: 3 })
    expect(lastPrompt()).toBe('def')
    await complete({ prompt: 'abcdef', truncate_prompt_tokens: 3, truncation_side: 'right', add_special_tokens: false })
    expect(lastPrompt()).toBe('abc')
    const text = async (fields: object) =>
      (await complete(fields)).json<{ choices: { text: string }[] }>().choices[0]?.text
    expect(await text({ stop: '(', max_tokens: 20 })).toBe('bbbb')
    expect(await text({ stop: Array.from({ length: 20 }, (_, i) => `${i}(`).concat('('), max_tokens: 20 })).toBe('bbbb')
    expect(await text({ stop: ['', '('], include_stop_str_in_output: true, max_tokens: 20 })).toBe('bbbb(')
    expect(await text({ stop_token_ids: ['('.charCodeAt(0)], max_tokens: 20 })).toBe('bbbb')
    expect(await text({ n_predict: 2 })).toBe('bb')
    expect(await text({ max_completion_tokens: 3 })).toBe('bbb')
    await complete({ max_tokens: -1 })
    expect(served.engine.requests.at(-1)!.maxTokens).toBe(400 - 3)
    await complete({ repeat_penalty: 1.5, seed: 2 ** 63, top_p: 0 })
    expect(served.engine.requests.at(-1)!.sampling).toMatchObject({ repetitionPenalty: 1.5, seed: 0, topP: 1e-9 })
  })

  it('report the prompt’s own log-probabilities, and tokens by their ids', async () => {
    const response = await complete({ prompt: [97, 98], max_tokens: 0, prompt_logprobs: 1 })
    const [choice] = response.json<{ choices: { prompt_logprobs: unknown[]; logprobs: null }[] }>().choices
    expect(choice).toMatchObject({
      prompt_logprobs: [null, { 98: { logprob: -0.5, rank: 1, decoded_token: 'b' } }],
      logprobs: null,
    })
    const ids = await complete({ logprobs: 0, return_tokens_as_token_ids: true, return_token_ids: true, max_tokens: 2 })
    expect(ids.json()).toMatchObject({
      choices: [{ logprobs: { tokens: ['token_id:98', 'token_id:98'], top_logprobs: [{ 'token_id:98': -0.5 }, {}] } }],
    })
    const scored = await chat({ prompt_logprobs: 0, return_token_ids: true, logprobs: true })
    const body = scored.json<{
      prompt_token_ids: number[]
      prompt_logprobs: unknown[]
      choices: { token_ids: number[] }[]
    }>()
    expect(body.prompt_logprobs).toHaveLength(body.prompt_token_ids.length)
    expect(body.choices[0]?.token_ids.at(-1)).toBe(EOS)
  })
})

describe('the base model’s defaults', () => {
  it('hold where neither request nor task say anything', async () => {
    const modelDefaults = { temperature: 0.6, topK: 20, topP: null, minP: null, repetitionPenalty: 1.1, maxTokens: 9 }
    const model = await testApp({ modelDefaults })
    await chat({}, model)
    expect(model.engine.requests.at(-1)).toMatchObject({
      maxTokens: 9,
      sampling: { temperature: 0.6, topK: 20, topP: 1, repetitionPenalty: 1.1 },
    })
    await chat({ temperature: 0, max_tokens: 3 }, model)
    expect(model.engine.requests.at(-1)).toMatchObject({ maxTokens: 3, sampling: { temperature: 0, topK: 20 } })
    await model.call({ method: 'POST', url: '/v1/tasks/extract/generate', payload: { input: 'x' } })
    expect(model.engine.requests.at(-1)).toMatchObject({ sampling: { temperature: 0, topK: 20 } })
    const base = await model.call({ url: '/v1/models/fake-base' })
    expect(base.json()).toMatchObject({ troupe: { defaults: { temperature: 0.6, top_k: 20, max_tokens: 9 } } })
    await model.app.close()
  })
})
