import { once } from 'node:events'
import net from 'node:net'
import type { Socket } from 'node:net'

/** A connection that says exactly what it is told to. */
export interface RawSocket {
  readonly socket: Socket
  send(text: string): void
  /** Everything that came so far. */
  received(): string
  /** Resolves with everything that came once it matches; rejects when the connection ends before. */
  until(pattern: RegExp): Promise<string>
  /** Resolves with everything that came once the other side has closed. */
  readonly closed: Promise<string>
}

/** Connects to loopback. Connections that are reset count as closed. */
export async function rawSocket(port: number): Promise<RawSocket> {
  const socket = net.connect(port, '127.0.0.1')
  let text = ''
  socket.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
  socket.on('error', () => socket.destroy())
  // Not `once`: that would reject where the connection is reset.
  const closed = new Promise<string>((resolve) => socket.on('close', () => resolve(text)))
  await once(socket, 'connect')
  const until = async (pattern: RegExp): Promise<string> => {
    while (!pattern.test(text)) {
      const more = new Promise<'more'>((resolve) => socket.once('data', () => resolve('more')))
      if ((await Promise.race([more, closed.then(() => 'closed' as const)])) === 'closed' && !pattern.test(text))
        throw new Error(`the connection ended before ${String(pattern)}: ${text}`)
    }
    return text
  }
  const send = (said: string): void => void (socket.destroyed || socket.write(said))
  return { socket, send, received: () => text, until, closed }
}

/** A request as text, with a body where there is one. */
export function requestText(method: string, path: string, body?: string, headers: readonly string[] = []): string {
  const content = body === undefined ? [] : ['content-type: application/json', `content-length: ${body.length}`]
  return [`${method} ${path} HTTP/1.1`, 'host: 127.0.0.1', ...headers, ...content, '', body ?? ''].join('\r\n')
}
