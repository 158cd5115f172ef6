import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { TestApp } from '../support/test-app.ts'
import { testApp } from '../support/test-app.ts'
import { automatonOf } from '../../src/grammar/grammar.ts'
import { accepts } from '../support/grammar.ts'

const SCHEMA = {
  type: 'object',
  properties: { b: { type: 'integer' }, a: { type: 'string' } },
  required: ['a', 'b'],
  additionalProperties: false,
}
const RESPONSE_FORMAT = { type: 'json_schema', json_schema: { name: 'x', schema: SCHEMA, strict: true } }

const GRAMMAR = 'root ::= "a" root | "a"'
const TOOLS = [
  { name: 'weather', parameters: SCHEMA, strict: true },
  { name: 'add', parameters: { properties: { n: { type: 'integer' } }, required: ['n'] } },
]
const call = (name: string, args: string): string =>
  `<tool_call>\n{"name": "${name}", "arguments": ${args}}\n</tool_call>`

let test: TestApp
beforeEach(async () => {
  test = await testApp({ settings: { maxContext: 1_000 } })
})
afterEach(async () => {
  await test.app.close()
})

async function post(url: string, payload: object) {
  const { statusCode, body } = await test.call({ method: 'POST', url, payload })
  return { status: statusCode, body: JSON.parse(body) as { error?: { code: string; message: string; param: string } } }
}

/** Whether the engine was told to accept these texts, one after the other. */
function holds(...texts: string[]): boolean[] {
  const { constraint } = test.engine.requests.at(-1)!
  const automaton = automatonOf(constraint!.grammar)
  return texts.map((text) => accepts(automaton, text))
}

describe('structured output', () => {
  const chat = { model: 'json', messages: [{ role: 'user', content: 'hi' }], max_tokens: 5 }
  const completion = { model: 'json', prompt: 'hi', max_tokens: 5 }

  it.each([
    ['chat completions', '/v1/chat/completions', { ...chat, response_format: RESPONSE_FORMAT }],
    ['completions', '/v1/completions', { ...completion, response_format: RESPONSE_FORMAT }],
    [
      'responses',
      '/v1/responses',
      {
        model: 'json',
        input: 'hi',
        max_output_tokens: 16,
        text: { format: { type: 'json_schema', name: 'x', strict: true, schema: SCHEMA } },
      },
    ],
    ['tasks', '/v1/tasks/extract/generate', { input: 'hi', max_tokens: 5, response_format: RESPONSE_FORMAT }],
  ])('%s: a strict schema fixes the order of properties', async (_, url, payload) => {
    expect((await post(url, payload)).status).toBe(200)
    expect(holds('{"b":1,"a":"x"}', '{"a":"x","b":1}', '{"b":1}')).toEqual([true, false, false])
  })

  it.each([
    ['json_object', { response_format: { type: 'json_object' } }, '{"any": [1]}', '[1]'],
    ['guided_json', { guided_json: SCHEMA }, '{"a":"x","b":1}', '{}'],
    ['guided_json as text', { guided_json: JSON.stringify(SCHEMA) }, '{"a":"x","b":1}', '{}'],
    ['guided_regex', { guided_regex: '[0-9]{3}' }, '123', '12'],
    ['guided_choice', { guided_choice: ['yes', 'no'] }, 'no', 'maybe'],
    ['structured_outputs.json', { structured_outputs: { json: SCHEMA, regex: null } }, '{"a":"x","b":1}', '{}'],
    ['structured_outputs.choice', { structured_outputs: { choice: ['yes', 'no'] } }, 'yes', '"yes"'],
    ['structured_outputs.grammar', { structured_outputs: { grammar: GRAMMAR } }, 'aa', 'b'],
    ['guided_grammar', { guided_grammar: GRAMMAR }, 'a', ''],
    ['llama.cpp’s grammar', { grammar: GRAMMAR }, 'aaa', 'ab'],
    ['llama.cpp’s json_schema', { json_schema: { type: 'integer' } }, '7', '"7"'],
  ])('%s is honoured', async (_, fields, valid, invalid) => {
    expect((await post('/v1/completions', { ...completion, ...fields })).body.error).toBeUndefined()
    expect(holds(valid, invalid)).toEqual([true, false])
  })

  it.each([
    ['an unknown keyword', { guided_json: { minimun: 3 } }, 'unsupported_schema', 'guided_json', '`minimun`'],
    [
      'a schema in two fields',
      { guided_json: SCHEMA, guided_regex: 'a' },
      'invalid_request',
      'guided_regex',
      'send one of them',
    ],
    ['a broken pattern', { guided_regex: '(' }, 'invalid_request', 'guided_regex', 'not closed'],
    ['what nothing fits', { json_schema: false }, 'invalid_request', 'json_schema', 'no value fits'],
    ['text that is no JSON', { guided_json: '{' }, 'invalid_request', 'guided_json', 'no JSON'],
    [
      'two forms at once',
      { structured_outputs: { regex: 'a', choice: ['a'] } },
      'invalid_request',
      'structured_outputs',
      'exactly one',
    ],
    [
      'a grammar that recurs on the left',
      { grammar: 'root ::= root "a"' },
      'invalid_request',
      'grammar',
      'no text fits',
    ],
    ['Lark', { guided_grammar: 'start: "a"' }, 'invalid_request', 'guided_grammar', 'send GBNF'],
    ['too many states', { guided_regex: '(a|b)*a(a|b){30}' }, 'schema_too_complex', 'guided_regex', ''],
  ])('%s is refused by name', async (_, fields, code, param, part) => {
    const { status, body } = await post('/v1/completions', { ...completion, ...fields })
    expect(status).toBe(400)
    expect(body.error).toMatchObject({ code, param })
    expect(body.error!.message).toContain(part)
    expect(test.engine.requests).toHaveLength(0)
  })

  describe.each([
    [
      'chat completions',
      (fields: object) =>
        post('/v1/chat/completions', {
          ...chat,
          tools: TOOLS.map((tool) => ({ type: 'function', function: tool })),
          ...fields,
        }),
      { type: 'function', function: { name: 'add' } },
      (format: object) => ({ response_format: format }),
    ],
    [
      'responses',
      (fields: object) =>
        post('/v1/responses', {
          ...{ model: 'json', input: 'hi', max_output_tokens: 16 },
          ...{ tools: TOOLS.map((tool) => ({ type: 'function', ...tool })), ...fields },
        }),
      { type: 'function', name: 'add' },
      (format: object) => ({ text: { format } }),
    ],
  ])('tools of %s', (_, ask, choice, formatted) => {
    const [good, loose] = [call('weather', '{"b": 1, "a": "x"}'), call('add', '{"any": 1}')]

    it('that are strict hold their calls, and leave text alone', async () => {
      expect((await ask({})).body.error ?? null).toBeNull()
      expect(holds(good, `Hm.\n${good}\n${loose}`, 'Hello <', call('weather', '{}'))).toEqual([true, true, true, false])
      await ask({ parallel_tool_calls: false })
      expect(holds(good, `${good}\n${good}`)).toEqual([true, false])
    })

    it('that are asked for come to their schema', async () => {
      await ask({ tool_choice: 'required' })
      expect(holds(good, call('add', '{"n": 1}'), loose, 'Hello')).toEqual([true, true, false, false])
      await ask({ tool_choice: choice })
      expect(holds(call('add', '{"n": 1}'), good, `${call('add', '{"n": 1}')}\n${call('add', '{"n": 1}')}`)).toEqual([
        true,
        false,
        false,
      ])
      expect(test.engine.requests.at(-1)!.constraint!.begun).toBe('<tool_call>\n{"name": "add", "arguments":')
    })

    it('or the form that the request names', async () => {
      await ask(formatted({ type: 'json_object' }))
      expect(holds(good, '{}', 'Hello', call('weather', '{}'))).toEqual([true, true, false, false])
      await ask({ ...formatted({ type: 'json_object' }), tool_choice: 'required' })
      expect(holds(good, '{}')).toEqual([true, false])
    })

    it('whose schema cannot be enforced are refused by name', async () => {
      const parameters = { properties: { a: { minimun: 1 } } }
      const tool = { name: 'odd', parameters, strict: true }
      const { status, body } = await ask({ tools: [{ type: 'function', ...tool, function: tool }] })
      expect(status).toBe(400)
      expect(body.error).toMatchObject({ code: 'unsupported_schema', param: 'tools' })
      expect(body.error!.message).toContain('`odd`: #/properties/a')
    })
  })

  it('a task presets a form, a request lifts it', async () => {
    const put = (format: object) =>
      test.call({ method: 'PUT', url: '/v1/tasks/extract', payload: { defaults: { response_format: format } } })
    expect((await put(RESPONSE_FORMAT)).statusCode).toBe(200)
    await post('/v1/tasks/extract/generate', { input: 'hi', max_tokens: 5 })
    expect(holds('{"b":1,"a":"x"}', '{}')).toEqual([true, false])
    await post('/v1/tasks/extract/generate', { input: 'hi', max_tokens: 5, response_format: { type: 'text' } })
    expect(test.engine.requests.at(-1)!.constraint).toBeUndefined()
    const refused = await put({ type: 'json_schema', json_schema: { schema: { type: 'text' } } })
    expect(refused.statusCode).toBe(400)
    expect(refused.body).toContain('defaults.response_format')
  })

  it('equal schemas are compiled once, and apart for each tenant', async () => {
    await post('/v1/completions', { ...completion, guided_json: SCHEMA })
    await post('/v1/completions', { ...completion, guided_json: { ...SCHEMA, required: ['a', 'b'] } })
    const [first, second] = test.engine.requests
    expect(first!.constraint!.digest).toBe(second!.constraint!.digest)
  })
})
