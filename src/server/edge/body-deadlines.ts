import type { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { TroupeError } from '../../core/errors.ts'
import type { App } from '../app.ts'
import { sendError } from '../error-handlers.ts'
import { endSoon } from './connections.ts'

/** A body may take a second more for every so many bytes that came: slow lines pass, dripping ones do not. */
const BYTES_PER_SECOND = 4096
const LOOK_MS = 500

interface Arriving {
  readonly request: FastifyRequest
  readonly reply: FastifyReply
  readonly since: number
  /** Bytes of the connection when the body began. */
  readonly before: number
}

/** Ends requests whose body does not arrive: `seconds`, and a second more for every 4 KiB that came. */
export function installBodyDeadlines(app: App, seconds: number, onCut: () => void): void {
  const arriving = new Map<IncomingMessage, Arriving>()

  app.addHook('onRequest', async (request, reply) => {
    const { raw } = request
    // Requests that were injected come whole.
    if (!(raw.socket instanceof Socket)) return
    if (raw.headers['transfer-encoding'] === undefined && Number(raw.headers['content-length'] ?? 0) === 0) return
    arriving.set(raw, { request, reply, since: performance.now(), before: raw.socket.bytesRead })
    const done = (): void => void arriving.delete(raw)
    raw.once('end', done).once('close', done)
  })

  const look = (): void => {
    const now = performance.now()
    for (const [raw, { request, reply, since, before }] of arriving) {
      const allowed = seconds + (raw.socket.bytesRead - before) / BYTES_PER_SECOND
      if ((now - since) / 1000 <= allowed) continue
      arriving.delete(raw)
      onCut()
      const { socket } = raw
      if (reply.raw.headersSent) socket.destroy()
      else {
        reply.header('connection', 'close')
        sendError(
          new TroupeError('request_timeout', 'the body of the request did not arrive in time: send it again'),
          request,
          reply,
        )
        endSoon(socket)
      }
    }
  }
  const timer = setInterval(look, LOOK_MS)
  timer.unref()
  app.addHook('onClose', async () => clearInterval(timer))
}
