import { createHash, timingSafeEqual } from 'node:crypto'
import { TroupeError } from '../core/errors.ts'
import type { TenantLimits } from './limits.ts'

/**
 * What a key is for. An `admin` may touch names of every tenant and names nobody owns, a `publisher` changes what its tenant owns, a `caller`
 * asks for answers, `metrics` reads `/metrics` and nothing else.
 */
export const ROLES = ['admin', 'publisher', 'caller', 'metrics'] as const
export type Role = (typeof ROLES)[number]

/** Who sends a request. */
export interface Caller {
  /** Name of the tenant; `*` when no keys are configured. */
  readonly tenant: string
  readonly role: Role
}

/** One tenant as configured. */
export interface TenantKeys {
  readonly name: string
  /** Keys in the clear, or `sha256:<64 hex digits>` of them. */
  readonly keys: readonly string[]
  /** `publisher` unless given. */
  readonly role?: Role
  readonly limits?: TenantLimits
}

/** Headers a key can come in. */
export interface KeyHeaders {
  readonly authorization?: string | undefined
  readonly 'x-api-key'?: string | string[] | undefined
}

/** Every caller while no keys are configured. */
export const EVERYONE: Caller = { tenant: '*', role: 'admin' }

const HASHED = /^sha256:[0-9a-f]{64}$/
const BEARER = /^Bearer +(\S+)$/i

/** The keys of all tenants, kept only as SHA-256 hashes. */
export class Keyring {
  #entries: readonly { readonly hash: Buffer; readonly caller: Caller }[] = []
  #limits: ReadonlyMap<string, TenantLimits> = new Map()

  constructor(tenants: readonly TenantKeys[]) {
    this.replace(tenants)
  }

  /** Puts these keys in the place of all there are. From none to some, or back, takes a restart: other rules hold there. */
  replace(tenants: readonly TenantKeys[]): void {
    this.#entries = tenants.flatMap(({ name, keys, role = 'publisher' }) =>
      keys.map((key) => ({ hash: storedHash(key), caller: { tenant: name, role } })),
    )
    this.#limits = new Map(tenants.flatMap(({ name, limits }) => (limits === undefined ? [] : [[name, limits]])))
  }

  /** What a tenant may use. */
  limitsOf(tenant: string): TenantLimits {
    return this.#limits.get(tenant) ?? {}
  }

  /** No keys configured: everybody may do everything. */
  get open(): boolean {
    return this.#entries.length === 0
  }

  /** Finds the caller of a request. Throws `invalid_api_key` when the key is missing or unknown. */
  authenticate(headers: KeyHeaders): Caller {
    if (this.open) return EVERYONE
    const key = presentedKey(headers)
    if (key === null)
      throw new TroupeError(
        'invalid_api_key',
        'no API key was sent: add the header `Authorization: Bearer <key>` or `x-api-key: <key>`',
      )
    const hash = sha256(key)
    let found: Caller | null = null
    // Every entry is compared, so that the time taken does not tell which one matched.
    for (const entry of this.#entries) if (timingSafeEqual(entry.hash, hash)) found = entry.caller
    if (!found) throw new TroupeError('invalid_api_key', 'the API key is unknown')
    return found
  }
}

function presentedKey(headers: KeyHeaders): string | null {
  const bearer = headers.authorization === undefined ? null : BEARER.exec(headers.authorization)
  if (bearer?.[1] !== undefined) return bearer[1]
  const plain = headers['x-api-key']
  return typeof plain === 'string' && plain !== '' ? plain : null
}

function storedHash(key: string): Buffer {
  return HASHED.test(key) ? Buffer.from(key.slice('sha256:'.length), 'hex') : sha256(key)
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text, 'utf8').digest()
}
