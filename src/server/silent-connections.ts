import type { IncomingMessage, Server } from 'node:http'
import type { Socket } from 'node:net'

/**
 * Connections over which nothing was sent yet, as browsers, health checks and clients that changed their mind open them. Node counts them as busy,
 * so they would hold up the end of a server like a running request.
 */
export class SilentConnections {
  readonly #sockets = new Set<Socket>()

  /** To be made before the server listens. */
  constructor(server: Server) {
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
    })
    server.on('request', ({ socket }: IncomingMessage) => this.#sockets.delete(socket))
  }

  close(): void {
    for (const socket of this.#sockets) if (socket.bytesRead === 0) socket.destroy()
  }
}
