import { readFile } from 'node:fs/promises'
import { createLocalJWKSet, errors } from 'jose'
import type { JSONWebKeySet, JWTVerifyGetKey } from 'jose'
import { messageOf, TroupeError } from '../core/errors.ts'
import { isJsonObject } from '../core/json.ts'
import type { Log } from '../core/log.ts'

export interface IssuerKeysOptions {
  /** A JWKS: `https://…`, `http://…` or a file. */
  readonly location: string
  readonly log: Log
  /** Milliseconds that only grow; for tests. */
  readonly now?: () => number
}

/** After this long keys are fetched again, beside the requests. */
const FRESH_MS = 10 * 60_000
/** How long known keys are used while they cannot be fetched. */
const STALE_MS = 60 * 60_000
/** Between two fetches, so that tokens with made-up key ids do not become requests to the issuer. */
const PAUSE_MS = 10_000
const TIMEOUT_MS = 5_000
const MAX_BYTES = 1 << 20

/**
 * The public keys of an identity provider. They are fetched when first needed, when they are old, and when a token names a key that is not among
 * them; never more often than every ten seconds. While they cannot be fetched, known ones are used for an hour.
 */
export class IssuerKeys {
  readonly #location: string
  readonly #log: Log
  readonly #now: () => number
  #known: { readonly find: JWTVerifyGetKey; readonly at: number } | null = null
  #lastTry = -Infinity
  #fetching: Promise<void> | null = null
  #trouble: string | null = null

  constructor({ location, log, now = () => performance.now() }: IssuerKeysOptions) {
    this.#location = location
    this.#log = log
    this.#now = now
  }

  /** The key that a token is signed with. @throws TroupeError `identity_unavailable`; what `jose` says where there is none */
  readonly find: JWTVerifyGetKey = async (header, token) => {
    const age = this.#now() - (this.#known?.at ?? -Infinity)
    if (age > STALE_MS) await this.#refresh()
    else if (age > FRESH_MS) void this.#refresh()
    try {
      return await this.#usable()(header, token)
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey) || !this.#mayTry) throw error
      // The issuer may have a new key.
      await this.#refresh()
      return this.#usable()(header, token)
    }
  }

  /** Fetches them now. Never fails: what goes wrong is logged, and known keys stay. */
  async reload(): Promise<void> {
    this.#lastTry = -Infinity
    await this.#refresh()
  }

  get #mayTry(): boolean {
    return this.#now() - this.#lastTry >= PAUSE_MS
  }

  #usable(): JWTVerifyGetKey {
    if (this.#known && this.#now() - this.#known.at <= STALE_MS) return this.#known.find
    const message =
      'the keys of the tokens’ issuer cannot be fetched, so tokens cannot be checked now: API keys still work'
    throw new TroupeError('identity_unavailable', message, { retryAfterSeconds: PAUSE_MS / 1000 })
  }

  async #refresh(): Promise<void> {
    if (this.#mayTry) this.#fetching ??= this.#fetch().finally(() => (this.#fetching = null))
    await this.#fetching
  }

  async #fetch(): Promise<void> {
    this.#lastTry = this.#now()
    try {
      const find = createLocalJWKSet(parseKeys(await this.#read()))
      this.#known = { find, at: this.#now() }
      if (this.#trouble !== null) this.#log.info({}, 'the issuer’s keys can be fetched again')
      this.#trouble = null
    } catch (error) {
      this.#trouble = messageOf(error)
      this.#log.error({ err: error, jwks: this.#location }, 'the issuer’s keys cannot be fetched')
    }
  }

  async #read(): Promise<string> {
    if (!/^https?:/.test(this.#location)) return readFile(this.#location, 'utf8')
    const answer = await fetch(this.#location, {
      ...{ signal: AbortSignal.timeout(TIMEOUT_MS), redirect: 'error', headers: { accept: 'application/json' } },
    })
    if (!answer.ok) throw new Error(`the issuer answers ${answer.status}`)
    const text = await answer.text()
    if (text.length > MAX_BYTES) throw new Error(`the answer is longer than ${MAX_BYTES} bytes`)
    return text
  }
}

function parseKeys(text: string): JSONWebKeySet {
  const json: unknown = JSON.parse(text)
  if (!isJsonObject(json) || !Array.isArray(json.keys))
    throw new Error('it is not a JWKS, which is an object with a list `keys`')
  return json as unknown as JSONWebKeySet
}
