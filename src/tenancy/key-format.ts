import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'

/** What is kept of a key: enough to recognise it, too little to make it. */
export interface KeyHash {
  /** Hexadecimal. */
  readonly salt: string
  readonly hash: string
}

/** A key that was just made. `key` is shown once and kept nowhere. */
export interface FreshKey extends KeyHash {
  readonly id: string
  readonly key: string
}

const ID_BYTES = 6
const SECRET_BYTES = 32
const SALT_BYTES = 16
const KEY = /^troupe_([0-9a-f]{12})_[A-Za-z0-9_-]{43}$/

/** `troupe_<public id>_<secret>`: the id finds the record of the key, the secret has 256 random bits. */
export function freshKey(): FreshKey {
  const id = randomBytes(ID_BYTES).toString('hex')
  const key = `troupe_${id}_${randomBytes(SECRET_BYTES).toString('base64url')}`
  const salt = randomBytes(SALT_BYTES).toString('hex')
  return { id, key, salt, hash: hashOf(key, salt).toString('hex') }
}

/** The public id in a key of ours; null = it is none. */
export function keyIdOf(key: string): string | null {
  return KEY.exec(key)?.[1] ?? null
}

/** Whether a hash is this key's. Takes the same time whatever the answer is. */
export function isHashOf(key: string, { salt, hash }: KeyHash): boolean {
  return timingSafeEqual(hashOf(key, salt), Buffer.from(hash, 'hex'))
}

/**
 * One HMAC, not a password hash: those make guessing dear, and nobody guesses 256 random bits. What a slow hash would cost is paid by every request.
 * The salt keeps equal hashes from telling equal keys.
 */
function hashOf(key: string, salt: string): Buffer {
  return createHmac('sha256', Buffer.from(salt, 'hex')).update(key, 'utf8').digest()
}
