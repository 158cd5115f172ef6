import { writeFile } from 'node:fs/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ME } from '../support/store-folder.ts'
import { VERSION_BYTES, storedWeights, testApp, weightsFile } from '../support/test-app.ts'
import type { TestApp } from '../support/test-app.ts'
import { BOS, EOS, bytesOf, textOf } from '../support/fake-text.ts'

let served: TestApp

beforeEach(async () => {
  served = await testApp()
})
afterEach(() => served.app.close())

async function generate(payload: object, task = 'extract') {
  return served.call({ method: 'POST', url: `/v1/tasks/${task}/generate`, payload })
}

describe('POST /v1/tasks/{task}/generate', () => {
  it('answers with text, usage and provenance', async () => {
    const response = await generate({ input: 'x' })
    expect(response.statusCode).toBe(200)
    const body = response.json<Record<string, unknown>>()
    expect(body).toMatchObject({
      task: 'extract',
      model: 'fake-base',
      choices: [{ index: 0, text: 'aaaa(T:x!)', finish_reason: 'stop' }],
      usage: {
        prompt_tokens: 5,
        completion_tokens: 10,
        total_tokens: 15,
        prompt_tokens_details: { cached_tokens: 0 },
      },
      provenance: {
        base: { model: 'fake-base', precision: 'f32' },
        adapters: [{ name: 'json', version: 'v1', digest: `sha256:${'aaaa'.padEnd(64, '0')}`, scale: 1, tier: 'hot' }],
        load_ms: expect.any(Number) as number,
      },
    })
    expect(response.headers['x-troupe-adapters']).toBe('json@v1;aaaa00000000')
    expect(response.headers['x-request-id']).toBeTruthy()
  })

  it('fills the task’s prompt with the input as it is, and takes `prompt` raw', async () => {
    await generate({ input: '$& $1' })
    await generate({ prompt: 'raw' })
    expect(served.engine.requests.map(({ tokens }) => [tokens[0], textOf(tokens)])).toEqual([
      [BOS, 'T:$& $1!'],
      [BOS, 'raw'],
    ])
  })

  it('renders messages through the chat template, the task’s system message first', async () => {
    await served.rooms.changes.putTask('extract', { system: 'Be brief.' }, ME)
    await generate({ messages: [{ role: 'user', content: [{ type: 'text', text: 'hi' }] }] })
    await generate({
      messages: [
        { role: 'system', content: 'French.' },
        { role: 'user', content: 'hi' },
      ],
    })
    expect(served.engine.requests.map(({ tokens }) => textOf(tokens))).toEqual([
      'system: Be brief.\nuser: hi\nassistant: ',
      'system: Be brief.\n\nFrench.\nuser: hi\nassistant: ',
    ])
    expect(served.engine.requests[0]?.tokens[0]).not.toBe(BOS)
  })

  it.each([{}, { input: 'a', prompt: 'b' }, { input: 'a', messages: [{ role: 'user', content: 'b' }] }])(
    'refuses %j: exactly one of the three is needed',
    async (payload) => {
      const response = await generate(payload)
      expect(response.statusCode).toBe(400)
      expect(response.json()).toMatchObject({ error: { code: 'invalid_request', param: 'input' } })
    },
  )

  it('uses the request over the task’s defaults over greedy', async () => {
    await served.rooms.changes.putTask(
      'extract',
      { defaults: { temperature: 0.5, top_k: 7, stop: [')'], max_tokens: 9 } },
      ME,
    )
    await generate({ input: 'x', top_k: 3 })
    await generate({ input: 'x', temperature: 0, stop: null, max_tokens: 4, seed: 5, ignore_eos: true })
    const [first, second] = served.engine.requests
    expect(first).toMatchObject({ maxTokens: 9, sampling: { temperature: 0.5, topK: 3, topP: 1 }, stopTokens: [EOS] })
    expect(second).toMatchObject({ maxTokens: 4, sampling: { temperature: 0, topK: 7, seed: 5 }, stopTokens: [] })
  })

  it('runs n sequences with seeds of their own and counts the prompt once', async () => {
    const body = (await generate({ input: 'x', n: 3, seed: 10, max_tokens: 2 })).json<{
      choices: { index: number; finish_reason: string }[]
      usage: object
    }>()
    expect(body.choices.map(({ index, finish_reason }) => [index, finish_reason])).toEqual([
      [0, 'length'],
      [1, 'length'],
      [2, 'length'],
    ])
    expect(served.engine.requests.map(({ sampling }) => sampling.seed)).toEqual([10, 11, 12])
    expect(body.usage).toMatchObject({ prompt_tokens: 5, completion_tokens: 6, total_tokens: 11 })
  })

  it('ends at a stop string, cancels the sequence and keeps no token behind it', async () => {
    served.engine.script = () => bytesOf('one END two')
    const response = await generate({ input: 'x', stop: ['END'], logprobs: 0 })
    expect(response.json()).toMatchObject({ choices: [{ text: 'one ', finish_reason: 'stop' }] })
    const { choices } = response.json<{ choices: { logprobs: { text: string }[] }[] }>()
    expect(choices[0]?.logprobs.map(({ text }) => text).join('')).toBe('one ')
    expect(served.engine).toMatchObject({ active: 0, cancelled: 1 })
  })

  it('reports log-probabilities per token', async () => {
    const response = await generate({ input: 'x', max_tokens: 1, logprobs: 2 })
    expect(response.json()).toMatchObject({
      choices: [
        {
          logprobs: [
            {
              id: 97,
              text: 'a',
              logprob: -0.5,
              top: [
                { id: 97, text: 'a', logprob: -0.5 },
                { id: 98, text: 'b', logprob: -1.5 },
              ],
            },
          ],
        },
      ],
    })
  })

  it('runs a mix with scales, versions written in any form', async () => {
    const digest = `sha256:${'bbbb'.padEnd(64, '0')}`
    for (const version of ['v2', '2', 2, 'latest', digest, 'sha256:bbbb00000000']) {
      const adapters = [
        { name: 'json', version: 'v1', scale: 0.5 },
        { name: 'json', version },
      ]
      const response = await generate({ input: 'x', adapters })
      expect(response.json()).toMatchObject({ choices: [{ text: 'aaaa+bbbb(T:x!)' }] })
    }
    expect(served.engine.requests[0]?.mix.map(({ scale }) => scale)).toEqual([0.5, 1])
    const unknown = await generate({ input: 'x', adapters: [{ name: 'json', version: 'v9' }] })
    expect(unknown.statusCode).toBe(404)
    expect(unknown.json()).toMatchObject({ error: { code: 'version_not_found' } })
    expect((await generate({ input: 'x', adapters: [] })).json()).toMatchObject({ choices: [{ text: 'base(T:x!)' }] })
  })

  it('says where the weights were', async () => {
    await served.app.close()
    served = await testApp({ memoryBytes: 2 * VERSION_BYTES })
    const tier = async () =>
      (await generate({ input: 'x' })).json<{ provenance: { adapters: { tier: string }[] } }>().provenance.adapters[0]
        ?.tier
    expect(await tier()).toBe('hot')
    // There is memory for two: two more make the first leave.
    await served.addAdapter('other', 'cccc', 'dddd')
    expect(await tier()).toBe('cold')
    expect(await tier()).toBe('hot')
  })

  it('refuses what does not fit into the context, naming both lengths', async () => {
    const asked = await generate({ prompt: 'x'.repeat(50), max_tokens: 70 })
    expect(asked.statusCode).toBe(400)
    expect(asked.json()).toMatchObject({ error: { code: 'context_length_exceeded', param: 'max_tokens' } })
    expect(asked.json<{ error: { message: string } }>().error.message).toMatch(
      /maximum context length is 120 tokens, .*51 tokens.* 70 .*121/,
    )
    expect((await generate({ prompt: 'x'.repeat(119) })).json()).toMatchObject({
      error: { code: 'context_length_exceeded' },
    })
    await generate({ prompt: 'x'.repeat(100) })
    expect(served.engine.requests.at(-1)?.maxTokens).toBe(19)
  })

  it('gives everything back when the lease or the engine fails', async () => {
    await served.app.close()
    served = await testApp({ memoryBytes: 2 * VERSION_BYTES })
    const weights = storedWeights(served, 'json', 2)
    await served.addAdapter('other', 'cccc', 'dddd')
    await writeFile(weights, weightsFile('eeee'))
    const payload = { model: 'json@v2', prompt: 'x' }
    const altered = await served.call({ method: 'POST', url: '/v1/completions', payload })
    expect([altered.statusCode, altered.json()]).toMatchObject([500, { error: { code: 'digest_mismatch' } }])
    served.engine.failAfter = 2
    const failed = await generate({ input: 'x', n: 4 })
    expect(failed.statusCode).toBe(500)
    expect(failed.json()).toMatchObject({ error: { code: 'internal' } })
    expect(failed.body).not.toContain('the fake was told')
    expect(served.log.join('\n')).toContain('the fake was told to fail')
    expect(served.rooms.stats().leases).toBe(0)
    served.rooms.checkIntegrity()
    expect(served.admission.stats()).toEqual({ waiting: 0, running: 0, requests: 0, shed: 0 })
    expect(served.engine.active).toBe(0)
  })

  it('accepts owned names encoded and plain', async () => {
    await served.addAdapter('acme/a', 'cccc')
    await served.rooms.changes.putTask('acme/t', { routes: [{ adapter: 'acme/a' }] }, ME)
    for (const name of ['acme%2Ft', 'acme/t'])
      expect((await generate({ input: 'x' }, name)).json()).toMatchObject({
        task: 'acme/t',
        choices: [{ text: 'cccc(x)' }],
      })
  })

  it('knows no task: 404', async () => {
    const response = await generate({ input: 'x' }, 'nope')
    expect(response.statusCode).toBe(404)
    expect(response.json()).toMatchObject({ error: { code: 'task_not_found', type: 'not_found_error' } })
  })

  it('logs one line, without the prompt unless asked for', async () => {
    await generate({ input: 'secret-text' })
    const line = JSON.parse(served.log.at(-1) ?? '{}') as object
    expect(line).toMatchObject({ task: 'extract', mix: ['json@v1*1'], status: 'ok', completionTokens: 20 })
    expect(served.log.join('')).not.toContain('secret-text')
    const open = await testApp({ settings: { logPrompts: true } })
    await open.call({ method: 'POST', url: '/v1/tasks/extract/generate', payload: { input: 'secret-text' } })
    expect(open.log.join('')).toContain('secret-text')
    await open.app.close()
  })
})
