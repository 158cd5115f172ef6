import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { metricSources } from '../telemetry/metric-sources.ts'
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
      { name: 'ops', keys: ['admin'], role: 'admin' as const },
    ]
    const { app, call } = await testApp({ tenants })
    expect((await call({ url: '/metrics' })).statusCode).toBe(401)
    expect((await call({ url: '/metrics', headers: { 'x-api-key': 'k' } })).statusCode).toBe(403)
    expect((await call({ url: '/metrics', headers: { 'x-api-key': 'admin' } })).statusCode).toBe(200)
    await app.close()
  })
})

describe('vLLM’s gauges on /metrics', () => {
  it('name the adapters of requests that wait and run, as the requests called them', async () => {
    const { app, engine, metrics } = await testApp({ places: 1 })
    metrics.observe(metricSources())
    engine.tokenMs = 60_000
    const requests = ['/v1/tasks/extract/generate', '/v1/completions'].map(async (url) => {
      const payload = url.includes('tasks') ? { input: 'x' } : { model: 'json@v2', prompt: 'x' }
      return app.inject({ method: 'POST', url, payload })
    })
    const info = async (): Promise<string> =>
      /^vllm:lora_requests_info{(.*)}/m.exec((await app.inject('/metrics')).body)?.[1] ?? ''
    await vi.waitFor(async () =>
      expect(await info()).toBe('max_lora="8",running_lora_adapters="extract",waiting_lora_adapters="json@v2"'),
    )
    app.lifecycle.cutOff()
    await Promise.allSettled(requests)
    expect(await info()).toBe('max_lora="8",running_lora_adapters="",waiting_lora_adapters=""')
    await app.close()
  })
})

describe('failed logins', () => {
  it('are counted and logged, without what was sent as a key', async () => {
    const { app, log } = await testApp({ tenants: [{ name: 'acme', keys: ['sk-acme-1'] }] })
    for (const headers of [{}, { 'x-api-key': 'sk-guessed-1' }, { authorization: 'Bearer sk-guessed-2' }])
      expect((await app.inject({ url: '/v1/models', headers })).statusCode).toBe(401)
    await app.close()
    const lines = log.filter((line) => line.includes('login failed'))
    expect(lines).toHaveLength(3)
    expect(lines[0]).toContain('"address":"127.0.0.1"')
    expect(log.join('')).not.toContain('sk-guessed')
  })
})

describe('tokens and text', () => {
  it('goes both ways', async () => {
    const tokenize = async (payload: object) =>
      (await served.call({ method: 'POST', url: '/v1/tokenize', payload })).json<object>()
    expect(await tokenize({ prompt: 'hi' })).toEqual({
      tokens: [256, 104, 105],
      count: 3,
      max_model_len: 120,
      token_strs: null,
    })
    expect(await tokenize({ prompt: 'hi', add_special_tokens: false })).toMatchObject({ count: 2 })
    expect(await tokenize({ messages: [{ role: 'user', content: 'a' }] })).toMatchObject({ count: 19 })
    expect(await tokenize({})).toMatchObject({ error: { code: 'invalid_request' } })
    const detokenize = (tokens: number[]) => served.call({ method: 'POST', url: '/v1/detokenize', payload: { tokens } })
    expect((await detokenize([256, 104, 105])).json()).toEqual({ prompt: 'hi' })
    expect((await detokenize([999])).json()).toMatchObject({ error: { param: 'tokens[0]' } })
  })
})
