import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What a request asked for, and with which key. */
export interface HubCall {
  readonly path: string
  readonly authorization: string | undefined
}

/** A hub with models' repositories: lists their files and gives them, as huggingface.co does. */
export class FakeHub {
  readonly url: string
  readonly calls: HubCall[] = []
  /** Files by `organisation/name@revision`. */
  readonly repositories = new Map<string, Readonly<Record<string, string>>>()
  /** Where it sends those who ask for a file; null = it gives it itself. */
  elsewhere: string | null = null
  readonly #server: Server

  private constructor(server: Server) {
    this.#server = server
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  }

  static async start(): Promise<FakeHub> {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const hub = new FakeHub(server)
    server.on('request', (request: IncomingMessage, response: ServerResponse) => hub.#answer(request, response))
    return hub
  }

  stop(): void {
    this.#server.close()
    this.#server.closeAllConnections()
  }

  #answer({ url = '', headers }: IncomingMessage, response: ServerResponse): void {
    const { pathname } = new URL(url, this.url)
    this.calls.push({ path: pathname, authorization: headers.authorization })
    const tree = /^\/api\/models\/([^/]+\/[^/]+)\/tree\/([^/]+)/.exec(pathname)
    const file = /^\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(pathname)
    const [, name = '', revision = '', path = ''] = tree ?? file ?? []
    const files = this.repositories.get(`${name}@${revision}`)
    if (!files) return this.#json(response, 404, { error: 'Repository not found' })
    if (tree) {
      const entries = Object.entries(files).map(([of, text]) => ({
        type: 'file',
        oid: '0',
        path: of,
        size: text.length,
      }))
      return this.#json(response, 200, entries)
    }
    if (this.elsewhere !== null) return void response.writeHead(302, { location: this.elsewhere }).end()
    const bytes = Buffer.from(files[path] ?? '')
    const [, first = '0', last = ''] = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? '') ?? []
    const part = bytes.subarray(Number(first), last === '' ? undefined : Number(last) + 1)
    const range = `bytes ${first}-${Number(first) + part.byteLength - 1}/${bytes.byteLength}`
    response.writeHead(headers.range === undefined ? 200 : 206, {
      ...{ etag: '"1"', 'content-range': range, 'content-length': part.byteLength },
    })
    response.end(part)
  }

  #json(response: ServerResponse, status: number, body: unknown): void {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  }
}
