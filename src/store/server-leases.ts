import { Type } from 'typebox'
import type { Static } from 'typebox'
import { isJsonObject } from '../core/json.ts'
import { Serial } from '../core/serial.ts'
import { Shape } from '../core/shape.ts'
import type { Store } from './port.ts'

const PREFIX = 'servers/'
/** How often a server says that it lives. */
const BEAT_MS = 10_000
/** A server that said nothing for so long is dead: what it uses may be removed. */
export const LEASE_MS = 60_000

const LeaseSchema = Type.Object({
  server: Type.String(),
  host: Type.String(),
  /** ISO time; for people. Whether a server is dead is told by its silence, on one's own clock. */
  at: Type.String(),
  /** It uses nothing any more that was deleted by this record or an earlier one. */
  released: Type.Integer({ minimum: 0 }),
})
const shape = new Shape(LeaseSchema, 'lease')

/** What a server says of itself, again and again. */
export type ServerLease = Readonly<Static<typeof LeaseSchema>>

/**
 * The servers on a store as far as they live: each says now and then what it has let go of. The store only knows values that never change, so every word is
 * a new key and the one before is removed.
 */
export class ServerLeases {
  readonly #store: Store
  readonly #server: string
  readonly #host: string
  readonly #released: () => number
  readonly #now: () => number
  /** The newest key of every server, and since when (own clock) it is that. */
  #seen = new Map<string, { readonly key: string; readonly since: number }>()
  #beats = 0
  #last: string | null = null
  #timer: NodeJS.Timeout | null = null
  #isClosed = false
  readonly #turns = new Serial()

  /**
   * @param released number of the record up to which this server has let go of everything that was deleted
   * @param now milliseconds of a clock that never goes back
   */
  constructor(
    store: Store,
    identity: { readonly server: string; readonly host: string },
    released: () => number,
    now: () => number = () => performance.now(),
  ) {
    this.#store = store
    this.#server = identity.server
    this.#host = identity.host
    this.#released = released
    this.#now = now
  }

  /** Says now that this server lives, and what it has let go of. @throws TroupeError `storage_error` */
  async beat(): Promise<void> {
    await this.#turns.run(() => this.#beat())
  }

  async #beat(): Promise<void> {
    if (this.#isClosed) return
    const lease = { server: this.#server, host: this.#host, at: new Date().toISOString(), released: this.#released() }
    const key = `${PREFIX}${this.#server}/${String(++this.#beats).padStart(10, '0')}`
    await this.#store.put(key, Buffer.from(`${JSON.stringify(lease)}\n`))
    const former = this.#last
    this.#last = key
    if (former !== null) await this.#store.delete(former)
  }

  /** Says so again and again; a store that cannot be reached is tried again. */
  start(): void {
    this.#timer = setTimeout(() => {
      const again = (): void => {
        if (!this.#isClosed) this.start()
      }
      // The journal says what is wrong with the store.
      this.beat().then(again, again)
    }, BEAT_MS)
    this.#timer.unref()
  }

  /** The other servers that live, and what they say; `null` = what one says cannot be read. Removes what dead ones left. */
  async others(): Promise<readonly (ServerLease | null)[]> {
    const newest = new Map<string, string>()
    for (const key of await this.#store.list(PREFIX)) newest.set(key.split('/')[1] ?? '', key)
    newest.delete(this.#server)
    const now = this.#now()
    const seen = new Map<string, { readonly key: string; readonly since: number }>()
    const live: (ServerLease | null)[] = []
    for (const [server, key] of newest) {
      const known = this.#seen.get(server)
      const since = known?.key === key ? known.since : now
      if (now - since > LEASE_MS) {
        await this.#remove(server)
        continue
      }
      seen.set(server, { key, since })
      const bytes = await this.#store.get(key)
      live.push(bytes === null ? null : parseLease(bytes))
    }
    this.#seen = seen
    return live
  }

  /** This server lives no more. */
  async close(): Promise<void> {
    if (this.#timer) clearTimeout(this.#timer)
    await this.#turns.idle()
    this.#isClosed = true
    await this.#remove(this.#server).catch(() => undefined)
  }

  async #remove(server: string): Promise<void> {
    for (const key of await this.#store.list(`${PREFIX}${server}/`)) await this.#store.delete(key)
  }
}

function parseLease(bytes: Uint8Array): ServerLease | null {
  try {
    const json: unknown = JSON.parse(Buffer.from(bytes).toString())
    return isJsonObject(json) && shape.matches(json) ? json : null
  } catch {
    return null
  }
}
