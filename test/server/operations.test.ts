import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { testApp } from '../support/test-app.ts'
import type { TestApp } from '../support/test-app.ts'

let served: TestApp

beforeAll(async () => {
  served = await testApp()
})
afterAll(() => served.app.close())

describe('GET /metrics', () => {
  it('counts requests by route pattern and generations by task', async () => {
    await served.call({ method: 'POST', url: '/v1/tasks/extract/generate', payload: { input: 'x' } })
    await served.call({ url: '/v1/nothing/here' })
    const response = await served.call({ url: '/metrics' })
    expect(response.headers['content-type']).toMatch(/^text\/plain/)
    expect(response.body).toContain(
      'troupe_http_requests_total{method="POST",route="/v1/tasks/:task/generate",status="200"} 1',
    )
    expect(response.body).toContain('route="unmatched",status="404"')
    expect(response.body).toContain('troupe_generations_total{task="extract",status="ok"} 1')
    expect(response.body).toContain('troupe_adapter_requests_total{adapter="json",version="v1"} 1')
  })

  it('is for administrators once there are keys', async () => {
    const tenants = [
      { name: 'acme', keys: ['k'] },
      { name: 'ops', keys: ['admin'], admin: true },
    ]
    const { app, call } = await testApp({ tenants })
    expect((await call({ url: '/metrics' })).statusCode).toBe(401)
    expect((await call({ url: '/metrics', headers: { 'x-api-key': 'k' } })).statusCode).toBe(403)
    expect((await call({ url: '/metrics', headers: { 'x-api-key': 'admin' } })).statusCode).toBe(200)
    await app.close()
  })
})

describe('tokens and text', () => {
  it('goes both ways', async () => {
    const tokenize = async (payload: object) =>
      (await served.call({ method: 'POST', url: '/v1/tokenize', payload })).json<object>()
    expect(await tokenize({ prompt: 'hi' })).toEqual({ tokens: [256, 104, 105], count: 3, max_context: 120 })
    expect(await tokenize({ prompt: 'hi', add_special_tokens: false })).toMatchObject({ count: 2 })
    expect(await tokenize({ messages: [{ role: 'user', content: 'a' }] })).toMatchObject({ count: 19 })
    expect(await tokenize({})).toMatchObject({ error: { code: 'invalid_request' } })
    const detokenize = (tokens: number[]) => served.call({ method: 'POST', url: '/v1/detokenize', payload: { tokens } })
    expect((await detokenize([256, 104, 105])).json()).toEqual({ text: 'hi' })
    expect((await detokenize([999])).json()).toMatchObject({ error: { param: 'tokens[0]' } })
  })
})
