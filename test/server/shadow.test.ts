import { writeFile } from 'node:fs/promises'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { ME } from '../support/store-folder.ts'
import { VERSION_BYTES, storedWeights, testApp, weightsFile } from '../support/test-app.ts'
import type { TestApp } from '../support/test-app.ts'
import { bytesOf, textOf } from '../support/fake-text.ts'

let served: TestApp

const SHADOWED = {
  routes: [{ adapter: 'json', version: 1 }],
  shadow: { adapter: 'json', version: 2 },
}

beforeEach(async () => {
  served = await testApp({ places: 2 })
  await served.rooms.changes.putTask('extract', SHADOWED, ME)
})
afterEach(() => served.app.close())

async function generate(payload: object = { input: 'x' }) {
  return served.call({ method: 'POST', url: '/v1/tasks/extract/generate', payload })
}

async function counts(): Promise<Record<string, number>> {
  const response = await served.call({ method: 'GET', url: '/v1/tasks/extract/shadow' })
  expect(response.statusCode).toBe(200)
  return response.json()
}

/** Answers by the first letter of the mix's digest: `a` routes, `b` shadow. */
function script(route: string, shadow: string): void {
  served.engine.script = ({ mix }) => bytesOf(mix[0]?.digest.startsWith('sha256:a') ? route : shadow)
}

describe('a shadow', () => {
  it('is run after the answer, with the same prompt and sampling, in the background, and never answers', async () => {
    script('same', 'same')
    const answer = await generate({ input: 'x', temperature: 0.7 })
    expect(answer.json()).toMatchObject({ choices: [{ text: 'same' }], provenance: { adapters: [{ version: 'v1' }] } })
    await vi.waitFor(async () => expect(await counts()).toMatchObject({ equal: 1, different: 0 }))
    const [first, second] = served.engine.requests
    expect(second).toMatchObject({ background: true, sampling: first!.sampling, maxTokens: first!.maxTokens })
    expect(textOf(second!.tokens)).toBe(textOf(first!.tokens))
    expect(second!.mix).toEqual([{ digest: `sha256:${'bbbb'.padEnd(64, '0')}`, scale: 1 }])
    expect(served.rooms.stats().leases).toBe(0)
  })

  it('is compared token by token, also with streamed answers', async () => {
    script('abcd', 'abXdef')
    await generate({ input: 'x', stream: true })
    await vi.waitFor(async () => {
      expect(await counts()).toMatchObject({ different: 1, equal: 0, tokens: 6, agreed_tokens: 2 })
    })
    const text = await served.metrics.render()
    expect(text).toContain('troupe_shadow_runs_total{task="extract",result="different"} 1')
    expect(text).toContain('troupe_shadow_tokens_total{task="extract"} 6')
    expect(text).toContain('troupe_shadow_agreed_tokens_total{task="extract"} 2')
  })

  it('is given up when a request needs its place, which waits for nothing', async () => {
    served.engine.tokenMs = 20
    served.engine.script = ({ background }) => bytesOf(background ? 'x'.repeat(100) : 'ok')
    await generate()
    await vi.waitFor(() => expect(served.engine.active).toBe(1))
    await Promise.all([generate(), generate()])
    await vi.waitFor(async () => expect((await counts())['dropped']).toBeGreaterThanOrEqual(1))
    await vi.waitFor(() => expect(served.admission.stats().running).toBe(0))
  })

  it('fails nobody when it fails itself', async () => {
    await served.app.close()
    served = await testApp({ memoryBytes: 2 * VERSION_BYTES })
    await served.rooms.changes.putTask('extract', SHADOWED, ME)
    const weights = storedWeights(served, 'json', 2)
    await served.addAdapter('other', 'cccc', 'dddd')
    await writeFile(weights, weightsFile('eeee'))
    expect((await generate()).statusCode).toBe(200)
    await vi.waitFor(async () => expect(await counts()).toMatchObject({ failed: 1 }))
    expect(served.log.filter((line) => line.includes('a shadow run failed'))).toHaveLength(1)
  })

  it('is shown with its task, and absent where there is none', async () => {
    const task = await served.call({ method: 'GET', url: '/v1/tasks/extract' })
    expect(task.json()).toMatchObject({ shadow: { adapter: 'json', version: 'v2', sample: 1 }, pinned: false })
    const put = { method: 'PUT', url: '/v1/tasks/extract' } as const
    const wrong = await served.call({ ...put, payload: { shadow: { adapter: 'json', sample: 0 } } })
    expect(wrong.json()).toMatchObject({ error: { code: 'invalid_request' } })
    await served.call({ ...put, payload: { shadow: null } })
    const absent = await served.call({ method: 'GET', url: '/v1/tasks/extract/shadow' })
    expect([absent.statusCode, absent.json<{ error: { code: string } }>().error.code]).toEqual([404, 'not_found'])
  })
})

describe('the sticky key', () => {
  it.each([
    ['tasks/extract/generate', { input: 'x', sticky_key: 'k', user: 'u' }, 'k'],
    ['tasks/extract/generate', { input: 'x', user: 'u' }, 'u'],
    ['tasks/extract/generate', { input: 'x' }, undefined],
    ['completions', { model: 'extract', prompt: 'x', user: 'u' }, 'u'],
    ['chat/completions', { model: 'extract', messages: [{ role: 'user', content: 'x' }], sticky_key: 'k' }, 'k'],
  ])('of %s with %j is %s', async (path, payload, expected) => {
    const resolve = vi.spyOn(served.rooms.catalogue, 'resolve')
    const response = await served.call({ method: 'POST', url: `/v1/${path}`, payload })
    expect(response.statusCode).toBe(200)
    expect(resolve.mock.lastCall?.[0].sticky).toBe(expected)
  })
})
