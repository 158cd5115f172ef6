import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import { isIPv6 } from 'node:net'
import { Server as TlsServer } from 'node:tls'
import { unmapped } from './proxies.ts'

export interface ConnectionLimits {
  readonly total: number
  readonly perAddress: number
  /** Whether an address is a proxy: many clients come through it. */
  isProxy(address: string): boolean
  /** Longest time a client may read nothing while something waits to be sent, in milliseconds. */
  readonly stallMs: number
}

/** What the metrics are told. */
export interface ConnectionEvents {
  /** A connection too many. */
  refused(reason: 'total' | 'address'): void
  /** A connection was ended although its client kept it. */
  cut(reason: 'stalled' | 'body' | 'pipeline'): void
}

/** How long a socket that was answered and ended may take to go. */
const LINGER_MS = 1_000

/**
 * The connections of a server: bounded in number, in all and by address; ended where the client does not read; and, those over which nothing was
 * sent yet, closed with the server. Node counts the last as busy, so they would hold up its end like a running request.
 */
export class Connections {
  readonly #limits: ConnectionLimits
  readonly #events: ConnectionEvents
  readonly #open = new Set<Socket>()
  readonly #silent = new Set<Socket>()
  readonly #perAddress = new Map<string, number>()
  /** Requests whose answer is not complete. */
  readonly #busy = new WeakMap<Socket, number>()

  /** To be made before the server listens. */
  constructor(server: Server, limits: ConnectionLimits, events: ConnectionEvents) {
    this.#limits = limits
    this.#events = events
    const speaksPlainly = !(server instanceof TlsServer)
    server.on('connection', (socket: Socket) => this.#opened(socket, speaksPlainly))
    server.on('request', (request: IncomingMessage, response: ServerResponse) => this.#asked(request.socket, response))
    // Node's timer of a socket starts anew with every byte that comes or goes; when it rings nothing has moved for so long.
    server.setTimeout(limits.stallMs)
    server.on('timeout', (socket: Socket) => this.#rested(socket))
  }

  /** Connections open now. */
  get open(): number {
    return this.#open.size
  }

  /** Closes what nothing was sent over. */
  closeSilent(): void {
    for (const socket of this.#silent) if (socket.bytesRead === 0) socket.destroy()
  }

  #opened(socket: Socket, speaksPlainly: boolean): void {
    const network = networkOf(socket.remoteAddress ?? '')
    const counted = !this.#limits.isProxy(socket.remoteAddress ?? '')
    const known = this.#perAddress.get(network) ?? 0
    const isTotal = this.#open.size >= this.#limits.total
    if (isTotal || (counted && known >= this.#limits.perAddress)) {
      this.#events.refused(isTotal ? 'total' : 'address')
      // Gone before a request can come: it would be answered like any other.
      if (speaksPlainly) sayGoodbye(socket, 503, `connection limit reached${isTotal ? '' : ' for this address'}`)
      return socket.destroySoon()
    }
    this.#open.add(socket)
    this.#silent.add(socket)
    if (counted) this.#perAddress.set(network, known + 1)
    socket.once('close', () => {
      this.#open.delete(socket)
      this.#silent.delete(socket)
      if (!counted) return
      const left = (this.#perAddress.get(network) ?? 1) - 1
      if (left > 0) this.#perAddress.set(network, left)
      else this.#perAddress.delete(network)
    })
  }

  #asked(socket: Socket, response: ServerResponse): void {
    this.#silent.delete(socket)
    this.#busy.set(socket, (this.#busy.get(socket) ?? 0) + 1)
    response.once('close', () => this.#busy.set(socket, Math.max(0, (this.#busy.get(socket) ?? 1) - 1)))
  }

  /** Nothing came or went for a while: fine while an answer is being made, else the client does not read, or the connection is idle. */
  #rested(socket: Socket): void {
    const isWaiting = (this.#busy.get(socket) ?? 0) > 0
    if (isWaiting && socket.writableLength === 0) return
    if (socket.writableLength > 0) this.#events.cut('stalled')
    socket.destroy()
  }
}

/** Sends a whole answer over a socket that no request owns, as its last. */
export function sayGoodbye(socket: Socket, status: number, text: string, type = 'text/plain; charset=utf-8'): void {
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    `content-type: ${type}`,
    `content-length: ${Buffer.byteLength(text)}`,
    'x-content-type-options: nosniff',
    ...(status === 503 ? ['retry-after: 1'] : []),
    'connection: close',
  ]
  socket.on('error', () => socket.destroy())
  socket.end(`${head.join('\r\n')}\r\n\r\n${text}`)
}

/** Ends a socket whose last bytes are on their way, whatever the other side does: it may keep its half open for ever. */
export function endSoon(socket: Socket): void {
  const timer = setTimeout(() => socket.destroy(), LINGER_MS)
  timer.unref()
  socket.once('close', () => clearTimeout(timer))
}

/** An IPv4 address, or the /64 network of an IPv6 address: that is what one client gets. */
function networkOf(address: string): string {
  const plain = unmapped(address)
  if (!isIPv6(plain)) return plain
  const [front = [], back = []] = plain.split('::').map((half) => half.split(':').filter((part) => part !== ''))
  const zeros = Array.from({ length: Math.max(0, 8 - front.length - back.length) }, () => '0')
  return [...front, ...zeros, ...back].slice(0, 4).join(':')
}
