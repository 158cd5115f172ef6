import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { TenantLimits } from './limits.ts'
import type { Caller, Role } from './roles.ts'

/** Keys of one tenant as the keys file gives them. */
export interface TenantKeys {
  readonly name: string
  /** Keys in the clear, or `sha256:<64 hex digits>` of them. */
  readonly keys: readonly string[]
  /** `publisher` unless given. */
  readonly role?: Role
  readonly limits?: TenantLimits
}

interface Entry {
  readonly hash: Buffer
  readonly caller: Caller
}

const HASHED = /^sha256:[0-9a-f]{64}$/

/** The keys of a keys file, kept only as SHA-256 hashes. */
export class FileKeys {
  /** They are found by a hash under a secret of this process: the time of a look tells nothing about a stored hash. */
  readonly #secret = randomBytes(32)
  #entries = new Map<string, Entry>()
  #limits: ReadonlyMap<string, TenantLimits> = new Map()

  constructor(tenants: readonly TenantKeys[]) {
    this.replace(tenants)
  }

  /** Puts these keys in the place of all there are. */
  replace(tenants: readonly TenantKeys[]): void {
    this.#limits = new Map(tenants.flatMap(({ name, limits }) => (limits === undefined ? [] : [[name, limits]])))
    this.#entries = new Map(
      tenants.flatMap(({ name, keys, role = 'publisher' }) =>
        keys.map((key) => {
          const hash = storedHash(key)
          return [this.#indexOf(hash), { hash, caller: { tenant: name, role } }] as const
        }),
      ),
    )
  }

  /** What the file says that a tenant may use. */
  limitsOf(tenant: string): TenantLimits {
    return this.#limits.get(tenant) ?? {}
  }

  /** Whose key this is; null = nobody's. */
  find(key: string): Caller | null {
    const hash = sha256(key)
    const entry = this.#entries.get(this.#indexOf(hash))
    return entry && timingSafeEqual(entry.hash, hash) ? entry.caller : null
  }

  #indexOf(hash: Buffer): string {
    return createHmac('sha256', this.#secret).update(hash).digest('base64')
  }
}

function storedHash(key: string): Buffer {
  return HASHED.test(key) ? Buffer.from(key.slice('sha256:'.length), 'hex') : sha256(key)
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text, 'utf8').digest()
}
