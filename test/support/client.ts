import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** What came back: status, parsed body, raw headers. */
export interface Answer<T> {
  readonly status: number
  readonly body: T
  readonly headers: Headers
}

/** What was answered instead of what was asked for. */
export class Refused extends Error {
  readonly status: number
  readonly text: string

  constructor(status: number, text: string) {
    super(`${status}: ${text}`)
    this.status = status
    this.text = text
  }
}

/** A thin JSON client for the tests of the whole server; knows nothing the wire does not say. */
export class Client {
  readonly url: string
  readonly #headers: Record<string, string>

  constructor(url: string, key?: string) {
    this.url = url
    this.#headers = key === undefined ? {} : { authorization: `Bearer ${key}` }
  }

  async get<T = unknown>(path: string): Promise<Answer<T>> {
    return this.#send(path, { method: 'GET' })
  }

  async post<T = unknown>(path: string, body: unknown, signal?: AbortSignal): Promise<Answer<T>> {
    return this.#send(path, { method: 'POST', ...json(body), ...(signal && { signal }) })
  }

  async put<T = unknown>(path: string, body: unknown): Promise<Answer<T>> {
    return this.#send(path, { method: 'PUT', ...json(body) })
  }

  async patch<T = unknown>(path: string, body: unknown): Promise<Answer<T>> {
    return this.#send(path, { method: 'PATCH', ...json(body) })
  }

  async delete<T = unknown>(path: string): Promise<Answer<T>> {
    return this.#send(path, { method: 'DELETE' })
  }

  /** Uploads files as one new version. */
  async upload<T = unknown>(name: string, files: Readonly<Record<string, Uint8Array>>): Promise<Answer<T>> {
    const form = new FormData()
    for (const [file, bytes] of Object.entries(files)) form.append('files', new Blob([new Uint8Array(bytes)]), file)
    return this.#send(`/v1/adapters/${encodeURIComponent(name)}/versions`, { method: 'POST', body: form })
  }

  /** Uploads a folder as the libraries saved it. */
  async uploadFolder<T = unknown>(name: string, dir: string): Promise<Answer<T>> {
    return this.upload<T>(name, readFolder(dir))
  }

  /** Events of a streamed answer, parsed; ends at `[DONE]`. @throws Refused when it does not begin */
  async *stream<T = unknown>(path: string, body: object, signal?: AbortSignal): AsyncGenerator<T> {
    const response = await fetch(this.url + path, {
      method: 'POST',
      ...json({ ...body, stream: true }, this.#headers),
      ...(signal && { signal }),
    })
    if (!response.ok || response.body === null) throw new Refused(response.status, await response.text())
    let rest = ''
    for await (const bytes of response.body.pipeThrough(new TextDecoderStream())) {
      const events = (rest + bytes).split('\n\n')
      rest = events.pop()!
      for (const event of events) {
        // A comment only keeps the connection alive.
        if (event.startsWith(':')) continue
        const data = event.replace(/^data: /, '')
        if (data === '[DONE]') return
        yield JSON.parse(data) as T
      }
    }
  }

  async #send<T>(path: string, init: RequestInit): Promise<Answer<T>> {
    const headers = { ...(init.headers as Record<string, string> | undefined), ...this.#headers }
    const response = await fetch(this.url + path, { ...init, headers })
    const text = await response.text()
    const isJson = response.headers.get('content-type')?.includes('json') === true
    return { status: response.status, body: (isJson ? JSON.parse(text) : text) as T, headers: response.headers }
  }
}

export function readFolder(dir: string): Record<string, Uint8Array> {
  return Object.fromEntries(readdirSync(dir).map((file) => [file, readFileSync(join(dir, file))]))
}

function json(body: unknown, headers: Record<string, string> = {}): { headers: Record<string, string>; body: string } {
  return { headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) }
}
