import type { AddressInfo, Server, Socket } from 'node:net'
import { connect, createServer } from 'node:net'

/** `refused`: connections fail at once; `silent`: they are made, and nothing is ever said. */
export type Outage = 'refused' | 'silent'

/** Stands between a server and its store, and lets nothing through while it is shut. */
export class Gate {
  readonly url: string
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #outage: Outage | null = null

  private constructor(server: Server) {
    this.#server = server
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  }

  /** @param target `http://host:port` */
  static async open(target: string): Promise<Gate> {
    const { hostname, port } = new URL(target)
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const gate = new Gate(server)
    server.on('connection', (near) => gate.#pass(near, hostname, Number(port)))
    return gate
  }

  /** Connections there are now are treated as new ones. */
  shut(outage: Outage): void {
    this.#outage = outage
    for (const socket of this.#sockets) {
      if (outage === 'refused') socket.destroy()
      else socket.unpipe().pause()
    }
  }

  /** What was silent stays so: whoever waits for it notices by its own patience. */
  reopen(): void {
    this.#outage = null
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
  }

  #pass(near: Socket, host: string, port: number): void {
    this.#keep(near)
    if (this.#outage === 'refused') near.destroy()
    if (this.#outage !== null) return
    const far = this.#keep(connect(port, host))
    near.pipe(far).pipe(near)
    near.once('close', () => far.destroy())
    far.once('close', () => near.destroy())
  }

  #keep(socket: Socket): Socket {
    this.#sockets.add(socket)
    socket.on('error', () => socket.destroy())
    return socket.once('close', () => this.#sockets.delete(socket))
  }
}
