import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { App } from './app.ts'

/** What a refused body may still bring: clients such as Python's send all of it before they look at the answer. */
const MAX_DRAINED_BYTES = 256 * 2 ** 20
const MAX_DRAIN_MS = 30_000
/** A body that brings less than this in the time between two looks is no upload that goes on: its sender gets the answer at once. */
const LOOK_MS = 250
const LEAST_BYTES_BETWEEN_LOOKS = 16 * 2 ** 10
/** How long a connection stays open for reading after an answer that came too early to keep it. */
const LINGER_MS = 5_000

/**
 * Lets clients read refusals that are decided before their body has arrived. The rest of the body is read and thrown away first, up to a
 * bound, so that the connection can be used again. Beyond the bound the answer says `connection: close`, and the connection is closed for
 * writing only: closing it at once would reset it under the client's feet.
 */
export function drainUnreadBodies(app: App): void {
  app.addHook('onSend', async (request, reply, payload) => {
    const { raw } = request
    if (reply.statusCode < 400 || raw.complete || raw.readableEnded || raw.destroyed) return payload
    // Of a body that took too long nothing more is waited for.
    if (reply.statusCode !== 408 && (await drained(raw))) return payload
    reply.header('connection', 'close')
    linger(raw)
    return payload
  })
}

/** Reads the rest of a body. False = it is too much or takes too long. */
async function drained(body: IncomingMessage): Promise<boolean> {
  if (Number(body.headers['content-length'] ?? 0) > MAX_DRAINED_BYTES) return false
  return new Promise((resolve) => {
    let bytes = 0
    let looked = 0
    const settle = (whole: boolean): void => {
      clearTimeout(timer)
      clearInterval(looks)
      body.off('data', onData).off('end', onEnd).off('close', onEnd).off('error', onEnd)
      resolve(whole)
    }
    const onData = (chunk: Buffer): void => {
      bytes += chunk.length
      if (bytes > MAX_DRAINED_BYTES) settle(false)
    }
    const onEnd = (): void => settle(true)
    const timer = setTimeout(() => settle(false), MAX_DRAIN_MS)
    const looks = setInterval(() => {
      if (bytes - looked < LEAST_BYTES_BETWEEN_LOOKS) settle(false)
      looked = bytes
    }, LOOK_MS)
    // Whoever read it before has given up.
    body.unpipe()
    body.on('data', onData).on('end', onEnd).on('close', onEnd).on('error', onEnd)
    body.resume()
  })
}

/** Instead of being destroyed after the answer, the connection says that it is done and reads on for a while. */
function linger(body: IncomingMessage): void {
  const { socket } = body
  const close = socket.destroySoon.bind(socket)
  socket.destroySoon = function (this: Socket) {
    this.end()
    body.resume()
    const timer = setTimeout(close, LINGER_MS)
    this.once('close', () => clearTimeout(timer))
  }
}
