import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import net from 'node:net'
import { expect, it } from 'vitest'
import { closeGracefully } from '../../src/server/shutdown.ts'
import { testApp } from '../support/test-app.ts'
import type { TestApp } from '../support/test-app.ts'
import { bytesOf } from '../support/fake-text.ts'
import { rawSocket, requestText } from '../support/raw-socket.ts'

const GENERATE = '/v1/tasks/extract/generate'

interface Running extends TestApp {
  readonly url: string
  readonly port: number
  /** Ends the answers that run. */
  readonly answer: () => void
  readonly generate: (body: object) => Promise<Response>
  /** Resolves once so many sequences run. */
  readonly running: (sequences?: number) => Promise<void>
}

/** A server whose answers take until `answer` is called. */
async function slowServer(): Promise<Running> {
  const fake = await testApp()
  let answer = (): void => {}
  const answered = new Promise<void>((resolve) => (answer = resolve))
  fake.engine.generate = async function* (_request, signal) {
    yield { type: 'started', queueMs: 0, loadMs: 0, hot: [] }
    yield { type: 'token', token: bytesOf('a')[0]!, logprob: null }
    const aborted = new Promise<void>((resolve) => signal?.addEventListener('abort', () => resolve()))
    await Promise.race([answered, aborted])
    yield { type: 'finish', reason: signal?.aborted ? 'cancelled' : 'stop' }
  }
  const url = await fake.app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = fake.app.server.address() as AddressInfo
  const headers = { 'content-type': 'application/json' }
  const generate = (body: object): Promise<Response> =>
    fetch(url + GENERATE, { method: 'POST', headers, body: JSON.stringify(body) })
  const running = async (sequences = 1): Promise<void> => {
    while (fake.admission.stats().running < sequences) await new Promise((resolve) => setTimeout(resolve, 10))
  }
  return { ...fake, url, port, answer, generate, running }
}

function ending({ app }: Running, seconds: number, hurry?: AbortSignal): { steps: string[]; ended: Promise<void> } {
  const steps: string[] = []
  const ended = closeGracefully({
    ...{ app, seconds, hurry },
    backend: { close: async () => void steps.push('backend') },
    log: { warn: (_, message) => void steps.push(message) },
  })
  return { steps, ended }
}

it('says that it is not ready while it drains, but takes requests and asks for no more on the connection', async () => {
  const server = await slowServer()
  server.app.lifecycle.drain()
  server.answer()
  const ready = await fetch(`${server.url}/health/ready`)
  expect(ready.status).toBe(503)
  expect(await ready.json()).toMatchObject({
    error: { code: 'not_ready', message: 'not ready: the server is draining' },
  })
  expect((await fetch(`${server.url}/health/live`)).status).toBe(200)
  const taken = await server.generate({ input: 'x' })
  expect(taken.status).toBe(200)
  expect(taken.headers.get('connection')).toBe('close')
  await ending(server, 3600).ended
})

it('lets a running request finish, then ends at once although the client keeps its connection', async () => {
  const server = await slowServer()
  const request = server.generate({ input: 'x' })
  await server.running()
  const { steps, ended } = ending(server, 3600)
  server.answer()
  expect(await (await request).text()).toContain('"finish_reason":"stop"')
  await ended
  expect(steps).toEqual(['backend'])
})

it('refuses requests that come over open connections while it stops', async () => {
  const server = await slowServer()
  const request = server.generate({ input: 'x' })
  const open = await rawSocket(server.port)
  // A request has begun: the connection is not idle.
  open.send('GET /v1/mod')
  await server.running()
  const { ended } = ending(server, 3600)
  open.send('els HTTP/1.1\r\nhost: localhost\r\n\r\n')
  expect(await open.closed).toMatch(/^HTTP\/1\.1 503 [^]*retry-after: 1[^]*"code":"not_ready"/)
  await expect(fetch(server.url)).rejects.toThrow()
  server.answer()
  expect((await request).status).toBe(200)
  await ended
})

it.each([
  ['when its time is over', 0.2, undefined],
  ['when told to hurry', 3600, AbortSignal.abort()],
])('ends streams and answers with an error that says so %s', async (_, seconds, hurry) => {
  const server = await slowServer()
  const stream = server.generate({ input: 'x', stream: true })
  const whole = server.generate({ input: 'x' })
  await server.running(2)
  await stream
  const { steps, ended } = ending(server, seconds, hurry)
  const text = await (await stream).text()
  const last = text.trim().split('\n\n').at(-1)!
  expect(JSON.parse(last.replace(/^data: /, ''))).toMatchObject({
    error: { code: 'not_ready', message: expect.stringContaining('the server is stopping') as string },
  })
  const refused = await whole
  expect(refused.status).toBe(503)
  expect(refused.headers.get('retry-after')).toBe('1')
  await ended
  expect(steps).toEqual(['running requests are cut off', 'backend'])
  expect(server.admission.stats()).toEqual({ waiting: 0, running: 0, requests: 0, shed: 0 })
})

it('ends also when a client does not read its last words', async () => {
  const server = await slowServer()
  const open = await rawSocket(server.port)
  open.socket.pause()
  // The head of a request that never comes whole: there is nobody to answer.
  open.send(requestText('POST', GENERATE, undefined, ['content-length: 100', 'content-type: application/json']))
  await new Promise((resolve) => setTimeout(resolve, 100))
  await ending(server, 0).ended
})

it('is not held up by connections over which nothing was sent', async () => {
  const server = await slowServer()
  const request = server.generate({ input: 'x' })
  await server.running()
  const socket = net.connect(server.port, '127.0.0.1')
  await once(socket, 'connect')
  const gone = once(socket, 'close')
  const { steps, ended } = ending(server, 3600)
  await gone
  server.answer()
  expect((await request).status).toBe(200)
  await ended
  expect(steps).toEqual(['backend'])
})
