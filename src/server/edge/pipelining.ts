import type { Socket } from 'node:net'
import { ReaderGoneError } from '../../generation/reader-gone.ts'
import type { App } from '../app.ts'

/** Requests that may wait behind another one on their connection. No client of today sends any. */
const MAX_WAITING = 16

interface Line {
  busy: boolean
  readonly waiting: { readonly go: () => void; readonly giveUp: () => void }[]
}

/**
 * Answers the requests of one connection one after the other. Node hands them out all at once: a client could take a place in every queue with
 * one connection, and those behind the first would not notice that it has gone.
 */
export function installPipelining(app: App, onCut: () => void): void {
  const lines = new WeakMap<Socket, Line>()

  const lineOf = (socket: Socket): Line => {
    const known = lines.get(socket)
    if (known) return known
    const line: Line = { busy: false, waiting: [] }
    lines.set(socket, line)
    socket.once('close', () => {
      for (const { giveUp } of line.waiting.splice(0)) giveUp()
    })
    return line
  }

  app.addHook('onRequest', async (request, reply) => {
    const { socket } = request.raw
    const line = lineOf(socket)
    if (line.busy) {
      if (line.waiting.length >= MAX_WAITING) {
        if (!socket.destroyed) onCut()
        socket.destroy()
        throw new ReaderGoneError()
      }
      await new Promise<void>((go, fail) => line.waiting.push({ go, giveUp: () => fail(new ReaderGoneError()) }))
    }
    line.busy = true
    reply.raw.once('close', () => {
      const next = line.waiting.shift()
      if (next) next.go()
      else line.busy = false
    })
  })
}
