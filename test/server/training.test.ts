import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { digestOf, testApp, weightsFile } from '../support/test-app.ts'
import type { TestApp } from '../support/test-app.ts'

let served: TestApp

beforeAll(async () => {
  served = await testApp({ tenants: [{ name: 'acme', keys: ['k'] }] })
  await served.app.listen({ port: 0, host: '127.0.0.1' })
})
afterAll(() => served.app.close())

const KEY = { 'x-api-key': 'k' }

async function upload(label: string, query = ''): Promise<{ status: number; body: Record<string, unknown> }> {
  const { port } = served.app.server.address() as AddressInfo
  const form = new FormData()
  form.append('files', new Blob(['{}']), 'adapter_config.json')
  form.append('files', new Blob([weightsFile(label)]), 'adapter_model.safetensors')
  const url = `http://127.0.0.1:${port}/v1/adapters/acme%2Fpolicy/versions${query}`
  const response = await fetch(url, { method: 'POST', body: form, headers: KEY })
  return { status: response.status, body: (await response.json()) as Record<string, unknown> }
}

async function complete(model: string, headers: Record<string, string> = {}) {
  const payload = { model, prompt: [97, 98], max_tokens: 4, logprobs: 0, return_token_ids: true }
  return served.call({ method: 'POST', url: '/v1/completions', headers: { ...KEY, ...headers }, payload })
}

describe('a training loop', () => {
  it('uploads, proves and activates in one call, and samples from exactly that version', async () => {
    const first = await upload('cccc', '?activate=acme/live')
    expect(first).toMatchObject({
      status: 201,
      body: { version: 'v1', digest: digestOf('cccc'), activated: { task: 'acme/live', revision: 1 } },
    })
    const second = await upload('dddd', '?activate=acme/live')
    expect(second.body).toMatchObject({ version: 'v2', activated: { revision: 2 } })
    const sampled = await complete('acme/live', { 'x-troupe-digest': digestOf('dddd') })
    expect(sampled.json()).toMatchObject({
      choices: [
        {
          prompt_token_ids: [97, 98],
          token_ids: [100, 100, 100, 100],
          logprobs: { token_logprobs: [-0.5, -0.5, -0.5, -0.5] },
        },
      ],
      provenance: { adapters: [{ digest: digestOf('dddd') }] },
    })
    expect((await complete(`acme/policy@${digestOf('cccc')}`)).json()).toMatchObject({
      provenance: { adapters: [{ version: 'v1' }] },
    })
    expect((await upload('cccc', '?activate=acme/live')).status).toBe(200)
    expect((await complete('acme/live')).json()).toMatchObject({ provenance: { adapters: [{ version: 'v1' }] } })
  })

  it('fails rather than to sample from anything else', async () => {
    const stale = await complete('acme/live', { 'x-troupe-digest': digestOf('dddd') })
    expect([stale.statusCode, stale.json()]).toMatchObject([409, { error: { code: 'pin_mismatch' } }])
    const base = await complete('fake-base', { 'x-troupe-digest': digestOf('dddd') })
    expect(base.json<{ error: { message: string } }>().error.message).toContain('the base model, not with')
    expect((await complete('acme/live', { 'x-troupe-digest': 'v1' })).json()).toMatchObject({
      error: { code: 'invalid_request', param: 'x-troupe-digest' },
    })
    expect((await complete(`acme/policy@sha256:${'e'.repeat(64)}`)).statusCode).toBe(404)
  })

  it('activates nothing of others, and nothing that was refused', async () => {
    expect((await upload('eeee', '?activate=extract')).status).toBe(403)
    const tasks = await served.call({ url: '/v1/tasks/acme/live', headers: KEY })
    expect(tasks.json()).toMatchObject({ routes: [{ version: 'v1' }] })
  })
})
