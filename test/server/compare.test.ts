import { request as httpRequest } from 'node:http'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { bytesOf, textOf } from '../support/fake-text.ts'
import { testApp } from '../support/test-app.ts'
import type { TestApp } from '../support/test-app.ts'

let served: TestApp

beforeEach(async () => {
  served = await testApp()
})
afterEach(() => served.app.close())

const MIXES = [{ model: 'base' }, { model: 'json@v1' }, { adapters: [{ name: 'json', version: 2, scale: 0.5 }] }]

async function compare(payload: object) {
  return served.call({ method: 'POST', url: '/v1/compare', payload })
}

interface Event {
  readonly name: string
  readonly data: Record<string, unknown>
}

async function events(payload: object): Promise<Event[]> {
  const { body } = await compare({ ...payload, stream: true })
  const blocks = body.split('\n\n').filter((block) => block !== '' && !block.startsWith(':'))
  return blocks.map((block) => {
    const [, name, data] = /^event: (\w+)\ndata: (.*)$/s.exec(block)!
    return { name: name!, data: JSON.parse(data!) as Event['data'] }
  })
}

describe('POST /v1/compare', () => {
  it('answers with every mix, the versions it ran with, and where the answers part', async () => {
    served.engine.script = ({ mix }) => bytesOf(mix.length === 0 ? 'abcd' : mix[0]!.scale === 1 ? 'abXd' : 'abcd')
    const response = await compare({ input: 'x', task: 'extract', mixes: MIXES })
    expect(response.statusCode).toBe(200)
    expect(response.json()).toMatchObject({
      mixes: [
        { index: 0, label: 'base', adapters: [], bytes: 0, trained_parameters: 0 },
        { index: 1, label: 'json@v1', adapters: [{ name: 'json', version: 'v1', scale: 1 }], trained_parameters: 128 },
        { index: 2, label: 'json@v2 × 0.5', adapters: [{ name: 'json', version: 'v2', scale: 0.5 }], bytes: 512 },
      ],
      answers: [
        { index: 0, text: 'abcd', token_ids: bytesOf('abcd'), finish_reason: 'stop', usage: { completion_tokens: 4 } },
        { index: 1, text: 'abXd' },
        { index: 2, text: 'abcd' },
      ],
      first_difference: [
        { a: 0, b: 1, token: 2 },
        { a: 0, b: 2, token: null },
        { a: 1, b: 2, token: 2 },
      ],
      log_likelihoods: null,
    })
    // The task's template shapes the input of all of them, its routes none.
    expect(served.engine.requests.map(({ tokens }) => textOf(tokens))).toEqual(['T:x!', 'T:x!', 'T:x!'])
    expect(served.engine.mostActive).toBe(3)
  })

  it('streams the mixes side by side under their names', async () => {
    const all = await events({ prompt: 'x', mixes: MIXES })
    expect(all[0]).toMatchObject({ name: 'start', data: { mixes: [{ index: 0 }, { index: 1 }, { index: 2 }] } })
    expect(all.at(-1)).toMatchObject({ name: 'summary', data: { log_likelihoods: null } })
    const ends = all.filter(({ name }) => name === 'end').sort((a, b) => Number(a.data.index) - Number(b.data.index))
    expect(ends.map(({ data }) => data.text)).toEqual(['base(x)', 'aaaa(x)', 'bbbb(x)'])
    expect(ends[0]!.data.timings).toMatchObject({ total_ms: expect.any(Number) as number })
    for (const { data } of ends) {
      const deltas = all.filter((event) => event.name === 'delta' && event.data.index === data.index)
      expect(deltas.map((event) => event.data.text).join('')).toBe(data.text)
      expect(deltas.flatMap((event) => event.data.token_ids as number[])).toEqual(data.token_ids)
    }
  })

  it('says how likely each answer is under each mix', async () => {
    served.engine.script = ({ mix }) => bytesOf(mix.length === 0 ? 'ab' : 'abcd')
    const mixes = [{ model: 'base' }, { model: 'json' }]
    const body = (await compare({ prompt: 'x', mixes, likelihoods: true })).json<{ log_likelihoods: number[][] }>()
    // The stand-in gives each token -0.5: what counts are the tokens of the answers alone.
    expect(body.log_likelihoods).toEqual([
      [-1, -1],
      [-2, -2],
    ])
    const scoring = served.engine.requests.filter(({ promptLogprobs }) => promptLogprobs)
    expect(scoring.map(({ tokens, maxTokens }) => [textOf(tokens), maxTokens]).sort()).toEqual([
      ['xab', 0],
      ['xab', 0],
      ['xabcd', 0],
      ['xabcd', 0],
    ])
    expect(served.admission.stats()).toEqual({ waiting: 0, running: 0, requests: 0, shed: 0 })
  })

  it('goes on with the other mixes when one fails', async () => {
    await served.addAdapter('broken', 'cccc')
    const payload = { prompt: 'x', mixes: [{ model: 'base' }, { model: 'broken' }, { model: 'json' }] }
    served.engine.host.held.delete(`sha256:${'cccc'.padEnd(64, '0')}`)
    const all = await events({ ...payload, likelihoods: true })
    const failed = all.filter(({ name }) => name === 'error')
    expect(failed).toHaveLength(1)
    expect(failed[0]!.data).toMatchObject({ index: 1, error: { request_id: expect.any(String) as string } })
    expect(all.at(-1)!.data).toMatchObject({
      first_difference: [{ a: 0, b: 2, token: 1 }],
      log_likelihoods: [
        [expect.any(Number), null, expect.any(Number)],
        [null, null, null],
        [expect.any(Number), null, expect.any(Number)],
      ],
    })
    expect((await compare(payload)).json()).toMatchObject({
      answers: [{ index: 0, text: 'base(x)' }, { index: 1, error: {} }, { index: 2 }],
    })
  })

  it('draws one seed for all, so that equal mixes give equal answers', async () => {
    await compare({ prompt: 'x', temperature: 1, mixes: [{ model: 'base' }, { adapters: [] }] })
    const [one, other] = served.engine.requests
    expect(one!.sampling).toEqual(other!.sampling)
  })

  it.each([
    [{ mixes: [] }, 'mixes'],
    [{ mixes: Array.from({ length: 17 }, () => ({ model: 'base' })) }, 'mixes'],
    [{ mixes: [{ model: 'base' }, { model: 'nobody' }] }, 'mixes[1].model'],
    [{ mixes: [{ adapters: [{ name: 'nobody' }] }] }, 'mixes[0].adapters'],
    [{ mixes: [{ model: 'base', adapters: [] }] }, 'mixes[0].model'],
    [{ mixes: [{}] }, 'mixes[0].model'],
    [{ mixes: [{ model: 'base' }], n: 2 }, 'n'],
    [{ mixes: [{ model: 'base' }], input: 'y' }, 'input'],
    [{ mixes: [{ model: 'base' }], task: 'nowhere' }, null],
  ])('refuses %j and names the field', async (fields, param) => {
    const response = await compare({ prompt: 'x', ...fields })
    expect(response.statusCode).toBeGreaterThanOrEqual(400)
    expect(response.json<{ error: { param: unknown } }>().error.param).toBe(param)
    expect(served.admission.stats().requests).toBe(0)
  })

  it('does not see what other tenants own', async () => {
    const keyed = await testApp({
      tenants: [
        { name: 'acme', keys: ['a'] },
        { name: 'zeta', keys: ['z'] },
      ],
    })
    await keyed.addAdapter('zeta/secret', 'dddd')
    const payload = { prompt: 'x', mixes: [{ model: 'zeta/secret' }] }
    const ask = (key: string) =>
      keyed.call({ method: 'POST', url: '/v1/compare', payload, headers: { 'x-api-key': key } })
    expect((await ask('a')).statusCode).toBe(404)
    expect((await ask('z')).statusCode).toBe(200)
    await keyed.app.close()
  })

  it('is refused whole when the queue is full, and ends whole when the client goes away', async () => {
    const full = (await compare({ prompt: 'x', mixes: MIXES })).statusCode
    expect(full).toBe(200)
    served.engine.tokenMs = 10
    served.engine.script = () => bytesOf('x'.repeat(100))
    const url = new URL(await served.app.listen({ port: 0, host: '127.0.0.1' }))
    await new Promise<void>((resolve) => {
      const sent = httpRequest(
        new URL('/v1/compare', url),
        { method: 'POST', headers: { 'content-type': 'application/json' } },
        (response) => {
          response.once('data', () => {
            sent.destroy()
            resolve()
          })
        },
      )
      sent.on('error', () => undefined)
      sent.end(JSON.stringify({ prompt: 'x', stream: true, mixes: MIXES }))
    })
    await expect.poll(() => served.admission.stats()).toEqual({ waiting: 0, running: 0, requests: 0, shed: 0 })
    expect(served.engine.active).toBe(0)
    expect(served.rooms.stats().leases).toBe(0)

    const small = await testApp({ places: 1, maxWaiting: 1 })
    const refused = await small.call({ method: 'POST', url: '/v1/compare', payload: { prompt: 'x', mixes: MIXES } })
    expect(refused.statusCode).toBe(400)
    expect(refused.json()).toMatchObject({ error: { code: 'invalid_request' } })
    await small.app.close()
  })
})
