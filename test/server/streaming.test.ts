import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { testApp } from '../support/test-app.ts'
import type { TestApp } from '../support/test-app.ts'
import { bytesOf } from '../support/fake-text.ts'

let served: TestApp
let port: number

beforeAll(async () => {
  served = await testApp({ places: 2 })
  await served.app.listen({ port: 0, host: '127.0.0.1' })
  port = (served.app.server.address() as AddressInfo).port
})
afterAll(() => served.app.close())
beforeEach(() => {
  served.engine.tokenMs = 0
  served.engine.failAfter = Infinity
  served.engine.script = () => bytesOf('grüße')
  Object.assign(served.engine, { cancelled: 0, mostActive: 0 })
})

const path = '/v1/tasks/extract/generate'

async function stream(payload: object, url = path) {
  const response = await served.call({ method: 'POST', url, payload: { ...payload, stream: true } })
  const events = response.body
    .split('\n\n')
    .filter((line) => line !== '')
    .map((line) => line.replace(/^data: /, ''))
  return {
    response,
    events,
    chunks: events.filter((data) => data !== '[DONE]').map((data) => JSON.parse(data) as object),
  }
}

/** Sends a streaming request and drops the connection once `until` bytes of answer have come. */
async function dropAfter(until: number, payload: object): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const headers = { 'content-type': 'application/json' }
    const request = http.request({ port, path, method: 'POST', headers }, (response) => {
      let bytes = 0
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length
        if (bytes >= until) response.destroy()
      })
      response.on('error', () => resolve())
      response.on('close', () => resolve())
    })
    request.on('error', reject)
    request.end(JSON.stringify(payload))
  })
}

async function settled(): Promise<void> {
  for (let i = 0; i < 100 && served.admission.stats().requests > 0; i++) await sleep(20)
}

const NOTHING = { waiting: 0, running: 0, requests: 0, shed: 0 }

describe('server-sent events', () => {
  it('sends text as it comes, then the last chunk with everything, then [DONE]', async () => {
    const { response, events, chunks } = await stream({ input: 'x' })
    expect(response.headers['content-type']).toBe('text/event-stream; charset=utf-8')
    expect(response.headers['x-troupe-adapters']).toContain('json@v1')
    expect(events.at(-1)).toBe('[DONE]')
    const texts = chunks.map((chunk) => (chunk as { choices: { text: string }[] }).choices[0]?.text)
    expect(texts).toEqual(['g', 'r', 'ü', 'ß', 'e', ''])
    expect(chunks.at(-1)).toMatchObject({
      choices: [{ finish_reason: 'stop' }],
      usage: { completion_tokens: 7 },
      provenance: { adapters: [{ name: 'json' }] },
    })
    expect(chunks[0]).not.toHaveProperty('usage')
  })

  it('answers with plain HTTP errors as long as nothing was sent', async () => {
    const wrong = await stream({ prompt: 'x'.repeat(300) })
    expect(wrong.response.statusCode).toBe(400)
    served.engine.failAfter = 0
    const failed = await stream({ input: 'x' })
    expect(failed.response.statusCode).toBe(500)
    expect(failed.response.json()).toMatchObject({ error: { code: 'internal' } })
  })

  it('reports later failures as a last event with the same envelope', async () => {
    served.engine.failAfter = 2
    const { response, chunks, events } = await stream({ input: 'x' })
    expect(response.statusCode).toBe(200)
    expect(chunks.at(-1)).toMatchObject({ error: { code: 'internal', request_id: response.headers['x-request-id'] } })
    expect(events).not.toContain('[DONE]')
    expect(served.rooms.stats().leases).toBe(0)
  })

  it('sends headers at once and comments while it waits, and refuses at once what is not let in', async () => {
    served.engine.tokenMs = 40
    served.engine.script = () => bytesOf('x'.repeat(12))
    const send = (input: string) =>
      fetch(`http://127.0.0.1:${port}${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ input, stream: true }),
      })
    const running = [send('a'), send('b')].map(async (response) => (await response).text())
    await expect.poll(() => served.admission.stats().running).toBe(2)
    const queued = await send('c')
    expect(served.admission.stats().waiting).toBe(1)
    expect(queued.headers.get('content-type')).toMatch(/event-stream/)
    const reader = queued.body!.getReader()
    const { value } = (await reader.read()) as { value: Uint8Array }
    expect(new TextDecoder().decode(value)).toBe(': waiting\n\n')
    await reader.cancel()
    await Promise.all(running)
    await settled()
    expect(served.admission.stats()).toEqual(NOTHING)
  })

  it('interleaves several answers and ends once', async () => {
    const { chunks, events } = await stream({ model: 'json', prompt: ['a', 'b'], n: 2 }, '/v1/completions')
    const texts = ['', '', '', '']
    for (const { choices } of chunks as { choices: { index: number; text: string }[] }[])
      for (const { index, text } of choices) texts[index] += text
    expect(texts).toEqual(['grüße', 'grüße', 'grüße', 'grüße'])
    expect(chunks.filter((chunk) => 'provenance' in chunk)).toHaveLength(1)
    expect(chunks.at(-1)).toHaveProperty('provenance')
    expect(events.filter((data) => data === '[DONE]')).toHaveLength(1)
    // Answers to one prompt begin together, at the turn of the first.
    expect(served.engine.mostActive).toBeGreaterThan(1)
  })

  it('gives lease, place and sequence back when the client leaves in the middle', async () => {
    served.engine.tokenMs = 15
    served.engine.script = () => bytesOf('x'.repeat(110))
    await dropAfter(1, { input: 'x', stream: true, n: 3 })
    await settled()
    expect(served.admission.stats()).toEqual(NOTHING)
    expect(served.rooms.stats().leases).toBe(0)
    expect(served.engine.active).toBe(0)
    expect(served.engine.cancelled).toBeGreaterThanOrEqual(2)
    served.admission.checkIntegrity()
    expect(JSON.parse(served.log.at(-1) ?? '{}')).toMatchObject({ msg: 'generation', status: 'cancelled' })
  })

  it('does the same for answers that are not streams, and for requests that still wait', async () => {
    served.engine.tokenMs = 15
    served.engine.script = () => bytesOf('x'.repeat(60))
    const send = () => {
      const request = http.request({ port, path, method: 'POST', headers: { 'content-type': 'application/json' } })
      request.on('error', () => {})
      request.end(JSON.stringify({ input: 'x' }))
      return request
    }
    const running = [send(), send()]
    await expect.poll(() => served.admission.stats().running).toBe(2)
    const waiting = [send(), send(), send()]
    await expect.poll(() => served.admission.stats().waiting).toBe(3)
    for (const request of waiting) request.destroy()
    await expect.poll(() => served.admission.stats().waiting).toBe(0)
    for (const request of running) request.destroy()
    await settled()
    expect(served.admission.stats()).toEqual(NOTHING)
    expect(served.rooms.stats().leases).toBe(0)
    expect(served.engine.cancelled).toBe(2)
  })

  it('gives everything back when a reader who stopped reading leaves', async () => {
    served.engine.script = () => bytesOf('x'.repeat(100))
    await new Promise<void>((resolve) => {
      const headers = { 'content-type': 'application/json' }
      const request = http.request({ port, path, method: 'POST', headers }, (answer) => {
        answer.pause()
        setTimeout(() => {
          answer.destroy()
          resolve()
        }, 150)
      })
      request.end(JSON.stringify({ input: 'x', stream: true, n: 16, logprobs: 20 }))
    })
    await settled()
    expect(served.admission.stats()).toEqual(NOTHING)
    expect(served.rooms.stats().leases).toBe(0)
  })

  it('ends with a named error when its version was deleted and the time to finish is over', async () => {
    served.engine.tokenMs = 5
    served.engine.script = () => bytesOf('x'.repeat(100))
    await served.addAdapter('brief', 'cccc')
    const remove = (query: string) => served.call({ method: 'DELETE', url: `/v1/adapters/brief${query}` })
    const begun = stream({ model: 'brief', prompt: 'x', max_tokens: 100 }, '/v1/completions')
    await expect.poll(() => served.engine.active).toBe(1)
    expect((await remove('?drain_seconds=0')).json()).toMatchObject({ error: { code: 'adapter_in_use' } })
    const draining = await remove('?drain_seconds=0.05')
    expect([draining.statusCode, draining.json()]).toMatchObject([202, { status: 'draining', holders: 1 }])
    expect((await begun).chunks.at(-1)).toMatchObject({ error: { code: 'version_deleted' } })
    expect(served.rooms.stats().leases).toBe(0)
    const gone = await stream({ model: 'brief', prompt: 'x' }, '/v1/completions')
    expect(gone.response.json()).toMatchObject({ error: { code: 'model_not_found' } })
  })
})
