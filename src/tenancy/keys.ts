import { TroupeError } from '../core/errors.ts'
import type { FileKeys } from './file-keys.ts'
import { isHashOf, keyIdOf } from './key-format.ts'
import type { TenantLimits } from './limits.ts'
import { EVERYONE } from './roles.ts'
import type { Caller } from './roles.ts'
import { TenantsState } from './tenants/state.ts'
import type { Key } from './tenants/state.ts'
import { looksLikeToken } from './tokens.ts'
import type { Tokens } from './tokens.ts'

/** Headers a key can come in. */
export interface KeyHeaders {
  readonly authorization?: string | undefined
  readonly 'x-api-key'?: string | string[] | undefined
}

/** Where keys come from. Without any of it the server is open. */
export interface KeySources {
  /** Of the keys file. */
  readonly file?: FileKeys | null | undefined
  /** Of the journal. */
  readonly tenants?: TenantsState | undefined
  /** Tokens of an identity provider. */
  readonly tokens?: Tokens | null | undefined
}

const BEARER = /^Bearer +(\S+)$/i
/** Clocks of two servers may differ by this much. */
const CLOCK_TOLERANCE_MS = 5 * 60_000
/** Compared with where there is no key of that id, so that the answer takes as long. */
const NOBODYS = { salt: '00'.repeat(16), hash: '00'.repeat(32) }

/** Tells from a request's headers who sends it. */
export class Keyring {
  readonly #file: FileKeys | null
  readonly #tenants: TenantsState
  readonly #tokens: Tokens | null
  readonly #now: () => number

  /** @param now milliseconds; for tests */
  constructor({ file = null, tenants = new TenantsState(), tokens = null }: KeySources = {}, now = Date.now) {
    this.#file = file
    this.#tenants = tenants
    this.#tokens = tokens
    this.#now = now
  }

  /** There never was a key of any kind: everybody may do everything. */
  get open(): boolean {
    return this.#file === null && this.#tokens === null && !this.#tenants.hasHadKeys
  }

  /** What a tenant may use: what its record says goes before what the keys file says. */
  limitsOf(tenant: string): TenantLimits {
    return { ...this.#file?.limitsOf(tenant), ...this.#tenants.tenants.get(tenant)?.limits }
  }

  /**
   * Finds the caller of a request; only a token may have to be waited for.
   * @throws TroupeError `invalid_api_key`, `expired_api_key`, `revoked_api_key`, and as `Tokens.verify`
   */
  authenticate(headers: KeyHeaders): Caller | Promise<Caller> {
    if (this.open) return EVERYONE
    const key = presentedKey(headers)
    if (key === null)
      throw new TroupeError(
        'invalid_api_key',
        'no API key was sent: add the header `Authorization: Bearer <key>` or `x-api-key: <key>`',
      )
    if (this.#tokens && looksLikeToken(key)) return this.#tokens.verify(key).then((caller) => this.#notDeleted(caller))
    const id = keyIdOf(key)
    const known = id === null ? null : this.#ofJournal(key, id)
    const caller = known ?? this.#file?.find(key)
    if (!caller) throw new TroupeError('invalid_api_key', 'the API key is unknown')
    return this.#notDeleted(caller)
  }

  #ofJournal(key: string, id: string): Caller | null {
    const found = this.#tenants.keys.get(id)
    const retired = this.#tenants.retired.get(id)
    // Nothing is said about a key to somebody who has only its public part.
    if (!isHashOf(key, found ?? retired ?? NOBODYS)) return null
    if (retired) {
      const why =
        retired.reason === 'revoked' ? 'was revoked' : `is one of tenant "${retired.tenant}", which was deleted`
      throw new TroupeError('revoked_api_key', `the API key ${id} ${why}: use another one`)
    }
    if (!found) return null
    this.#checkTime(found)
    return { tenant: found.tenant, role: found.role }
  }

  /** A clock that stands before the key was made would make it live longer: then nothing is known of its end. */
  #checkTime({ id, createdAt, expiresAt }: Key): void {
    if (expiresAt === null) return
    const now = this.#now()
    if (Date.parse(expiresAt) <= now)
      throw new TroupeError('expired_api_key', `the API key ${id} expired at ${expiresAt}: ask an admin for a new one`)
    if (Date.parse(createdAt) - CLOCK_TOLERANCE_MS > now)
      throw new TroupeError(
        'expired_api_key',
        `the API key ${id} was made at ${createdAt}, but the server’s clock says ${new Date(now).toISOString()}: set the clock right`,
      )
  }

  #notDeleted(caller: Caller): Caller {
    if (!this.#tenants.deleted.has(caller.tenant)) return caller
    throw new TroupeError('revoked_api_key', `tenant "${caller.tenant}" was deleted: its keys and tokens are refused`)
  }
}

function presentedKey(headers: KeyHeaders): string | null {
  const bearer = headers.authorization === undefined ? null : BEARER.exec(headers.authorization)
  if (bearer?.[1] !== undefined) return bearer[1]
  const plain = headers['x-api-key']
  return typeof plain === 'string' && plain !== '' ? plain : null
}
