import { TroupeError } from '../core/errors.ts'
import { isJsonObject } from '../core/json.ts'

/** A running server, as flags name it. */
export interface ServerFlags {
  readonly url: string
  readonly key?: string
}

/** Talks JSON to a running server. */
export class ApiClient {
  readonly #origin: string
  readonly #headers: Readonly<Record<string, string>>

  /** @throws TroupeError `invalid_request` for what is no address */
  constructor({ url, key }: ServerFlags) {
    const parsed = URL.canParse(url) ? new URL(url) : null
    if (parsed?.protocol !== 'http:' && parsed?.protocol !== 'https:')
      throw new TroupeError('invalid_request', `--url takes an address like http://127.0.0.1:8080, not ${url}`)
    this.#origin = parsed.origin
    this.#headers = key === undefined ? {} : { authorization: `Bearer ${key}` }
  }

  /**
   * Sends a request and reads the JSON answer.
   *
   * @throws TroupeError with the server's own message, or saying that it cannot be reached
   */
  async send<T>(method: string, path: string, body?: object): Promise<T> {
    let response: Response
    try {
      response = await fetch(this.#origin + path, {
        method,
        headers: { ...this.#headers, ...(body && { 'content-type': 'application/json' }) },
        ...(body && { body: JSON.stringify(body) }),
      })
    } catch (cause) {
      throw new TroupeError('not_ready', `${this.#origin} cannot be reached: is a server running there?`, { cause })
    }
    const text = await response.text()
    if (response.ok) return JSON.parse(text) as T
    throw new TroupeError('invalid_request', `${this.#origin} answered ${response.status}: ${reasonIn(text)}`)
  }
}

function reasonIn(text: string): string {
  try {
    const body: unknown = JSON.parse(text)
    if (isJsonObject(body) && isJsonObject(body.error)) return String(body.error.message)
  } catch {
    // What is no JSON is shown as it came.
  }
  return text.slice(0, 500)
}
