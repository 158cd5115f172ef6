import { Value } from 'typebox/value'
import { TroupeError } from '../core/errors.ts'
import { isJsonObject } from '../core/json.ts'
import type { JsonObject } from '../core/json.ts'
import { readText } from '../config/config-file.ts'
import type { TenantLimits } from './limits.ts'
import { TenantLimitsSchema } from './limits.ts'

/** A key of a tenant as the keys file gives it: the key itself or `sha256:<64 hex digits>` of it. */
export interface TenantKey {
  readonly name: string
  readonly keys: readonly [string]
  readonly role: (typeof KEY_ROLES)[number]
  /** What the tenant may use; given with one of its keys, or alike with several. */
  readonly limits?: TenantLimits
}

/** `admin: true` says the same as the role `admin`. */
const FIELDS = ['tenant', 'key', 'keySha256', 'role', 'admin', 'limits']
const KEY_ROLES = ['admin', 'publisher', 'caller', 'metrics'] as const
const TENANT = /^[a-z0-9][a-z0-9._-]{0,62}$/
const MIN_KEY_LENGTH = 8

/**
 * Reads the keys file: a JSON list of `{ "tenant", "key" | "keySha256", "role", "limits" }`. Messages never show a key.
 *
 * @throws TroupeError `invalid_config` naming the file, the entry and the field
 */
export function readKeysFile(path: string): readonly TenantKey[] {
  let entries: unknown
  try {
    entries = JSON.parse(readText(path, 'keys file'))
  } catch (error) {
    if (error instanceof TroupeError) throw error
    // The parser's own message would quote the text.
    throw new TroupeError('invalid_config', `the keys file ${path} is not valid JSON`, { param: 'keys' })
  }
  if (!Array.isArray(entries) || entries.length === 0)
    throw new TroupeError('invalid_config', `the keys file ${path} must be a JSON list with at least one entry`, {
      param: 'keys',
    })
  const tenantKeys = entries.map((entry: unknown, index) => readEntry(entry, `entry ${index} of ${path}`))
  const twice = tenantKeys.findIndex(({ keys }, index) =>
    tenantKeys.some((other, i) => i < index && other.keys[0] === keys[0]),
  )
  if (twice >= 0) throw wrong(`entry ${twice} of ${path}`, 'has the key of an earlier entry')
  for (const [index, { name, limits }] of tenantKeys.entries()) {
    const other = tenantKeys.find((earlier) => earlier.name === name && earlier.limits !== undefined)?.limits
    if (limits !== undefined && !Value.Equal(limits, other))
      throw wrong(`entry ${index} of ${path}`, `has other \`limits\` than an earlier entry of the tenant ${name}`)
  }
  return tenantKeys
}

function readEntry(entry: unknown, where: string): TenantKey {
  if (!isJsonObject(entry)) throw wrong(where, 'must be an object')
  const unknown = Object.keys(entry).find((field) => !FIELDS.includes(field))
  if (unknown !== undefined) throw wrong(where, `has the unknown field "${unknown}"; there are ${FIELDS.join(', ')}`)
  const { tenant, key, keySha256 } = entry
  if (typeof tenant !== 'string' || !TENANT.test(tenant))
    throw wrong(where, 'needs a `tenant` of lower-case letters, digits, ".", "_" and "-"')
  const limits = readLimits(entry, where)
  const role = readRole(entry, where)
  if ((key === undefined) === (keySha256 === undefined)) throw wrong(where, 'needs either `key` or `keySha256`')
  if (keySha256 !== undefined) {
    if (typeof keySha256 !== 'string' || !/^[0-9a-f]{64}$/i.test(keySha256))
      throw wrong(where, 'has a `keySha256` that is not 64 hex digits')
    return { name: tenant, keys: [`sha256:${keySha256.toLowerCase()}`], role, ...limits }
  }
  if (typeof key !== 'string' || key.length < MIN_KEY_LENGTH || /\s/.test(key) || key.startsWith('sha256:'))
    throw wrong(where, `has a \`key\` that is shorter than ${MIN_KEY_LENGTH} characters, has spaces or is a hash`)
  return { name: tenant, keys: [key], role, ...limits }
}

function readRole({ role, admin = false }: JsonObject, where: string): TenantKey['role'] {
  if (typeof admin !== 'boolean') throw wrong(where, 'has an `admin` that is neither true nor false')
  if (role === undefined) return admin ? 'admin' : 'publisher'
  const known = KEY_ROLES.find((one) => one === role)
  if (known === undefined) throw wrong(where, `has a \`role\` that is none of ${KEY_ROLES.join(', ')}`)
  if (admin && known !== 'admin') throw wrong(where, `is \`admin\` and of the role ${known}: leave one of them out`)
  return known
}

function readLimits({ limits }: JsonObject, where: string): Pick<TenantKey, 'limits'> {
  if (limits === undefined) return {}
  if (Value.Check(TenantLimitsSchema, limits)) return { limits }
  const [first] = Value.Errors(TenantLimitsSchema, limits)
  throw wrong(where, `has \`limits\` that cannot be used: ${first?.instancePath ?? ''} ${first?.message ?? ''}`)
}

function wrong(where: string, problem: string): TroupeError {
  return new TroupeError('invalid_config', `${where} ${problem}`, { param: 'keys' })
}
