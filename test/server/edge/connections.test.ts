import type { AddressInfo } from 'node:net'
import { setImmediate, setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { testApp } from '../../support/test-app.ts'
import type { TestApp, TestAppOptions } from '../../support/test-app.ts'
import { bytesOf } from '../../support/fake-text.ts'
import { rawSocket, requestText } from '../../support/raw-socket.ts'
import type { RawSocket } from '../../support/raw-socket.ts'

let fake: TestApp
const sockets: RawSocket[] = []

afterEach(async () => {
  for (const { socket } of sockets.splice(0)) socket.destroy()
  await fake.app.close()
})

async function listening(options: TestAppOptions): Promise<() => Promise<RawSocket>> {
  fake = await testApp(options)
  await fake.app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = fake.app.server.address() as AddressInfo
  return async () => {
    const socket = await rawSocket(port)
    sockets.push(socket)
    return socket
  }
}

/** Sends a byte now and then until the other side has had enough. */
async function drip(socket: RawSocket, everyMs: number): Promise<string> {
  const timer = setInterval(() => socket.send('a'), everyMs)
  return socket.closed.finally(() => clearInterval(timer))
}

async function metric(name: string): Promise<number> {
  const { body } = await fake.app.inject('/metrics')
  const line = body.split('\n').find((one) => one.startsWith(`${name} `))
  return Number(line?.slice(name.length + 1) ?? NaN)
}

async function allGone(): Promise<void> {
  for (let i = 0; i < 250 && fake.app.connections.open > 0; i++) await sleep(20)
  expect(fake.app.connections.open).toBe(0)
}

const LIVE = '/health/live'
const JSON_TYPE = ['content-type: application/json']
const GENERATE = '/v1/tasks/extract/generate'

describe('deadlines', () => {
  it('end a connection over which nothing comes, with the reason', async () => {
    const connect = await listening({ edge: { headerSeconds: 0.3 } })
    const socket = await connect()
    const answer = await socket.closed
    expect(answer).toMatch(/^HTTP\/1\.1 408 [^]*"code":"request_timeout"/)
    await allGone()
  })

  it('end headers that drip, also those of a later request on the connection', async () => {
    const connect = await listening({ edge: { headerSeconds: 0.5 } })
    const first = await connect()
    first.send('GET / HTTP/1.1\r\nx-long: ')
    const second = await connect()
    second.send(requestText('GET', LIVE))
    await second.until(/"live"/)
    second.send('GET / HTTP/1.1\r\nx-long: ')
    for (const answer of await Promise.all([drip(first, 50), drip(second, 50)]))
      expect(answer).toMatch(/HTTP\/1\.1 408 [^]*"code":"request_timeout"/)
    await allGone()
  })

  it.each([
    ['with a length', ['content-length: 1000']],
    ['in chunks', ['transfer-encoding: chunked']],
  ])('end a body that drips %s, with the reason', async (_what, headers) => {
    const connect = await listening({ edge: { bodySeconds: 0.5 } })
    const socket = await connect()
    socket.send(requestText('POST', GENERATE, undefined, ['content-type: application/json', ...headers]))
    if (headers[0] === 'transfer-encoding: chunked') socket.send('400\r\n')
    socket.send('{"input": "')
    expect(await drip(socket, 50)).toMatch(/^HTTP\/1\.1 408 [^]*connection: close[^]*"code":"request_timeout"/i)
    expect(await metric('troupe_connections_cut_total{reason="body"}')).toBe(1)
    await allGone()
  })

  it('end a body that drips on after it was refused, and one of an upload', async () => {
    const connect = await listening({ edge: { bodySeconds: 0.5 } })
    const refused = await connect()
    refused.send(
      requestText('POST', GENERATE, undefined, [...JSON_TYPE, 'content-length: 999', 'origin: http://evil.example']),
    )
    const upload = await connect()
    upload.send(
      requestText('POST', '/v1/adapters/new/versions', undefined, [
        'content-type: multipart/form-data; boundary=x',
        'content-length: 999',
      ]),
    )
    upload.send('--x\r\ncontent-disposition: form-data; name="files"; filename="adapter_config.json"\r\n\r\n{')
    const [first] = await Promise.all([drip(refused, 50), drip(upload, 50)])
    expect(first).toMatch(/^HTTP\/1\.1 403/)
    await allGone()
    expect(fake.engine.active).toBe(0)
  })

  it('let a body take its time while it comes', async () => {
    const connect = await listening({ edge: { bodySeconds: 0.4 }, settings: { bodyLimitBytes: 64 * 1024 } })
    const socket = await connect()
    const body = JSON.stringify({ input: 'x'.repeat(20), pad: ' '.repeat(9000) })
    socket.send(
      requestText('POST', GENERATE, undefined, ['content-type: application/json', `content-length: ${body.length}`]),
    )
    for (let at = 0; at < body.length; at += 1000) {
      socket.send(body.slice(at, at + 1000))
      await sleep(100)
    }
    // Taken whole, a second after it began.
    expect(await socket.until(/"finish_reason"/)).toMatch(/^HTTP\/1\.1 200 [^]*xxxxx/)
  })

  it('end a connection that rests between requests, not one that waits for its answer', async () => {
    const connect = await listening({ edge: { idleSeconds: 0.4, stallSeconds: 0.2 } })
    fake.engine.tokenMs = 150
    fake.engine.script = () => bytesOf('0123456789')
    const busy = await connect()
    busy.send(requestText('POST', GENERATE, '{"input":"x"}'))
    const idle = await connect()
    idle.send(requestText('GET', LIVE))
    await idle.closed
    expect(await busy.until(/"finish_reason"/)).toContain('0123456789')
    await busy.closed
    expect(await metric('troupe_connections_cut_total{reason="stalled"}')).toBe(NaN)
    await allGone()
  })

  it('end a stream that is not read, and give back what it held', async () => {
    const connect = await listening({ edge: { stallSeconds: 0.5 }, settings: { maxContext: 10_000_000 } })
    // More than the buffers of both sockets hold.
    const tokens = 100_000
    let made = 0
    fake.engine.generate = async function* () {
      yield { type: 'started', queueMs: 0, loadMs: 0, hot: [] }
      for (; made < tokens; made++) {
        if (made % 1000 === 0) await setImmediate()
        yield { type: 'token', token: 65, logprob: null }
      }
      yield { type: 'finish', reason: 'length' }
    }
    const socket = await connect()
    socket.socket.pause()
    socket.send(requestText('POST', GENERATE, `{"input":"x","stream":true,"max_tokens":${tokens}}`))
    while (made < tokens) await sleep(20)
    // Its sequence gave its place to others, whether its text is read or not.
    expect(fake.admission.stats()).toEqual({ waiting: 0, running: 0, requests: 1, shed: 0 })
    await allGone()
    expect(await metric('troupe_connections_cut_total{reason="stalled"}')).toBe(1)
    expect(fake.admission.stats()).toEqual({ waiting: 0, running: 0, requests: 0, shed: 0 })
    expect(fake.rooms.stats().leases).toBe(0)
  })
})

describe('pipelining', () => {
  it('answers one request after the other, in order', async () => {
    const connect = await listening({})
    fake.engine.tokenMs = 5
    const socket = await connect()
    socket.send([1, 2, 3].map((n) => requestText('POST', GENERATE, JSON.stringify({ input: `n${n}` }))).join(''))
    const text = await socket.until(/n3/)
    expect([...text.matchAll(/T:n(\d)!/g)].map(([, n]) => n)).toEqual(['1', '2', '3'])
    expect(fake.engine.mostActive).toBe(1)
  })

  it('leaves nothing behind of requests whose connection closed', async () => {
    const connect = await listening({})
    fake.engine.tokenMs = 10_000
    const socket = await connect()
    socket.send(Array.from({ length: 12 }, () => requestText('POST', GENERATE, '{"input":"x"}')).join(''))
    while (fake.engine.active === 0) await sleep(10)
    expect(fake.admission.stats().requests).toBe(1)
    socket.socket.destroy()
    await allGone()
    for (let i = 0; i < 100 && fake.engine.active > 0; i++) await sleep(10)
    expect(fake.engine.requests).toHaveLength(1)
    expect(fake.engine.active).toBe(0)
    expect(fake.admission.stats()).toEqual({ waiting: 0, running: 0, requests: 0, shed: 0 })
  })

  it('closes a connection that asks for more than it waits for', async () => {
    const connect = await listening({})
    fake.engine.tokenMs = 10_000
    const socket = await connect()
    socket.send(Array.from({ length: 40 }, () => requestText('POST', GENERATE, '{"input":"x"}')).join(''))
    await socket.closed
    await allGone()
    expect(await metric('troupe_connections_cut_total{reason="pipeline"}')).toBe(1)
    expect(fake.engine.requests.length).toBeLessThanOrEqual(1)
  })
})

describe('limits', () => {
  it.each([
    ['in all', { maxConnections: 3 }, 'total'],
    ['from one address', { maxConnectionsPerAddress: 3 }, 'address'],
  ])('hold %s: one more is answered with 503 and closed; a free place is taken again', async (_what, edge, reason) => {
    const connect = await listening({ edge })
    const open = [await connect(), await connect(), await connect()]
    const fourth = await connect()
    expect(await fourth.closed).toMatch(/^HTTP\/1\.1 503 [^]*retry-after: 1[^]*connection limit reached/)
    expect(await metric(`troupe_connections_refused_total{reason="${reason}"}`)).toBe(1)
    expect(await metric('troupe_connections')).toBe(3)

    open[0]!.socket.destroy()
    for (let i = 0; i < 100 && fake.app.connections.open > 2; i++) await sleep(10)
    const next = await connect()
    next.send(requestText('GET', LIVE))
    await next.until(/"live"/)
  })

  it('do not count what comes through a trusted proxy as one address', async () => {
    const connect = await listening({ edge: { maxConnectionsPerAddress: 1, trustedProxies: ['loopback'] } })
    for (const socket of [await connect(), await connect()]) {
      socket.send(requestText('GET', LIVE))
      await socket.until(/"live"/)
    }
  })
})
