import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { testApp } from '../support/test-app.ts'
import type { TestApp } from '../support/test-app.ts'
import { BOS, EOS, bytesOf, textOf } from '../support/fake-text.ts'

interface Logprobs {
  readonly tokens: string[]
  readonly token_logprobs: (number | null)[]
  readonly top_logprobs: (Record<string, number> | null)[]
  readonly text_offset: number[]
}
interface Choice {
  readonly index: number
  readonly text: string
  readonly logprobs: Logprobs | null
  readonly token_ids?: number[]
  readonly prompt_token_ids?: number[]
}

let served: TestApp

beforeAll(async () => {
  served = await testApp()
})
afterAll(() => served.app.close())
beforeEach(() => {
  served.engine.requests.length = 0
  served.engine.script = () => bytesOf('xy')
})

async function complete(payload: object) {
  return served.call({ method: 'POST', url: '/v1/completions', payload: { model: 'fake-base', ...payload } })
}

async function choices(payload: object): Promise<Choice[]> {
  const response = await complete(payload)
  expect(response.statusCode, response.body).toBe(200)
  return response.json<{ choices: Choice[] }>().choices
}

describe('POST /v1/completions', () => {
  it.each([
    ['text', 'ab', [[BOS, 97, 98]]],
    [
      'texts',
      ['a', 'b'],
      [
        [BOS, 97],
        [BOS, 98],
      ],
    ],
    ['token ids', [5, 6], [[5, 6]]],
    ['lists of token ids', [[5], [6, 7]], [[5], [6, 7]]],
  ])('takes %s as prompt', async (_what, prompt, tokens) => {
    const made = await choices({ prompt })
    expect(made.map(({ index }) => index)).toEqual(tokens.map((_, i) => i))
    expect(served.engine.requests.map((request) => [...request.tokens])).toEqual(tokens)
    expect(served.engine.requests[0]).toMatchObject({
      maxTokens: 16,
      sampling: { temperature: 1 },
      promptLogprobs: false,
    })
  })

  it('leaves special tokens out on request', async () => {
    await choices({ prompt: 'a', add_special_tokens: false })
    expect([...(served.engine.requests[0]?.tokens ?? [])]).toEqual([97])
  })

  it('scores a prompt: echo, log-probabilities, no new tokens', async () => {
    const [choice] = await choices({ prompt: 'ab', echo: true, logprobs: 2, max_tokens: 0 })
    expect(choice).toMatchObject({
      text: 'ab',
      logprobs: {
        tokens: ['<s>', 'a', 'b'],
        token_logprobs: [null, -0.5, -0.5],
        top_logprobs: [null, { a: -0.5, b: -1.5 }, { b: -0.5, c: -1.5 }],
        text_offset: [0, 0, 1],
      },
    })
    expect(served.engine.requests[0]).toMatchObject({ maxTokens: 0, promptLogprobs: true, logprobs: 2 })
  })

  it('puts the echoed prompt and the answer into one text with one set of offsets', async () => {
    const [choice] = await choices({ prompt: 'ab', echo: true, logprobs: 0 })
    expect(choice?.text).toBe('abxy')
    expect(choice?.logprobs).toMatchObject({ tokens: ['<s>', 'a', 'b', 'x', 'y'], text_offset: [0, 0, 1, 2, 3] })
    expect(choice?.logprobs?.top_logprobs[4]).toEqual({ y: -0.5 })
    const [ids] = await choices({ prompt: bytesOf('cd'), echo: true })
    expect(ids).toMatchObject({ text: 'cdxy', logprobs: null })
  })

  it('echoes in a stream too, before the answer', async () => {
    const payload = { prompt: 'ab', echo: true, logprobs: 1, stream: true, return_token_ids: true }
    const response = await complete(payload)
    const chunks = response.body
      .split('\n\n')
      .filter((line) => line.startsWith('data: {'))
      .map((line) => (JSON.parse(line.slice(6)) as { choices: Choice[] }).choices[0])
    expect(chunks.map((choice) => choice?.text)).toEqual(['ab', 'x', 'y', '', ''])
    expect(chunks.flatMap((choice) => choice?.logprobs?.text_offset ?? [])).toEqual([0, 0, 1, 2, 3, 4])
    expect(chunks[0]?.prompt_token_ids).toEqual([BOS, 97, 98])
    expect(chunks.flatMap((choice) => choice?.token_ids ?? [])).toEqual([...bytesOf('xy'), EOS])
  })

  it('returns token ids on request, the one that ended the answer included', async () => {
    const [choice] = await choices({ prompt: 'a', return_token_ids: true })
    expect(choice).toMatchObject({ text: 'xy', token_ids: [...bytesOf('xy'), EOS], prompt_token_ids: [BOS, 97] })
  })

  it('keeps a log-probability of minus infinity out of the JSON', async () => {
    served.engine.script = () => [120]
    const original = served.engine.generate.bind(served.engine)
    served.engine.generate = async function* (request, signal) {
      for await (const event of original(request, signal))
        yield event.type === 'token' ? { ...event, logprob: { token: 120, logprob: -Infinity, top: [] } } : event
    }
    const [choice] = await choices({ prompt: 'a', logprobs: 0 })
    served.engine.generate = original
    expect(choice?.logprobs?.token_logprobs).toEqual([-9999])
  })

  it.each([
    [{ prompt: 'a', best_of: 3 }, 'best_of'],
    [{ prompt: 'a', max_tokens: 0 }, 'max_tokens'],
    [{ prompt: 'a', stream_options: { include_usage: true } }, 'stream_options'],
    [{ prompt: [] }, 'prompt'],
    [{ prompt: [1, 258] }, 'prompt[1]'],
    [{ prompt: [[1], [999]] }, 'prompt[1][0]'],
    [{ prompt: [1, 'a'] }, 'prompt[1]'],
    [{ prompt: null }, 'prompt'],
    [{ prompt: { a: 1 } }, 'prompt'],
    [{ prompt: 'a', logit_bias: { 300: 1 } }, 'logit_bias'],
    [{ prompt: 'a', logprobs: 21 }, 'logprobs'],
    [{ prompt: 'a', suffix: 'b' }, 'suffix'],
  ])('refuses %j, naming the field', async (payload, param) => {
    const response = await complete(payload)
    expect(response.statusCode).toBe(400)
    expect(response.json()).toMatchObject({ error: { code: 'invalid_request', param } })
    expect(served.engine.requests).toHaveLength(0)
  })

  it('takes null for everything that may be left out', async () => {
    const none = { n: null, stop: null, seed: null, logprobs: null, max_tokens: null, stream: null, logit_bias: null }
    expect(await choices({ prompt: 'a', ...none, best_of: null, adapters: null, user: null })).toHaveLength(1)
  })

  it('uses the prompt as it is even when `model` names a task', async () => {
    await choices({ model: 'extract', prompt: 'raw' })
    expect(served.engine.requests[0]?.mix).toHaveLength(1)
    expect(textOf(served.engine.requests[0]?.tokens ?? [])).toBe('raw')
  })
})
