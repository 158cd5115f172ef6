import type { ErrorCode } from '../core/errors.ts'
import { TroupeError } from '../core/errors.ts'
import type { JsonObject } from '../core/json.ts'
import { isJsonObject } from '../core/json.ts'
import { CONFIG_FILE } from './files.ts'

/** A value that leaves a feature off, whatever the field is called. */
function isNeutral(value: unknown): boolean {
  if (value === null || value === undefined || value === false) return true
  return Array.isArray(value) ? value.length === 0 : isJsonObject(value) && Object.keys(value).length === 0
}

/** A refusal that names a field of `adapter_config.json`. */
export function fieldRefusal(code: ErrorCode, field: string, value: unknown, expected: string): TroupeError {
  const found = value === undefined ? 'is missing' : `is ${brief(value)}`
  return new TroupeError(code, `${CONFIG_FILE}: "${field}" ${found}; ${expected}`, { param: field })
}

function brief(value: unknown): string {
  const text = JSON.stringify(value)
  return text.length > 120 ? `${text.slice(0, 117)}...` : text
}

/**
 * Goes through every field of a configuration: those in `read` are read elsewhere, those in `ignored` change nothing, those in `allowed`
 * must have one of the listed values, and any other must be switched off. `reasons` say why some are not supported.
 *
 * @throws TroupeError `unsupported_adapter` naming the first field that asks for more
 */
export function checkFields(
  config: JsonObject,
  rules: {
    readonly read: readonly string[]
    readonly ignored: readonly string[]
    readonly allowed: Readonly<Record<string, readonly unknown[]>>
    readonly reasons?: Readonly<Record<string, string>>
  },
): void {
  const reasonOf = (field: string): string | undefined => {
    return rules.reasons && Object.hasOwn(rules.reasons, field) ? rules.reasons[field] : undefined
  }
  for (const [field, value] of Object.entries(config)) {
    if (isNeutral(value) || rules.read.includes(field) || rules.ignored.includes(field)) continue
    const allowed = Object.hasOwn(rules.allowed, field) ? rules.allowed[field]! : null
    if (allowed === null) {
      const reason = reasonOf(field) ?? 'this field is not supported; only null or false is'
      throw fieldRefusal('unsupported_adapter', field, value, reason)
    }
    if (!allowed.includes(value)) {
      const options = allowed.map((item) => JSON.stringify(item)).join(', ')
      const reason = reasonOf(field) ?? `supported: ${options || 'null or false'}`
      throw fieldRefusal('unsupported_adapter', field, value, reason)
    }
  }
}

/** An integer of 1 or more. */
export function readRank(field: string, value: unknown): number {
  if (Number.isSafeInteger(value) && (value as number) >= 1) return value as number
  throw fieldRefusal('invalid_adapter', field, value, 'it must be a positive integer')
}

/** A finite number. */
export function readNumber(field: string, value: unknown): number {
  if (typeof value === 'number' && Number.isFinite(value)) return value
  throw fieldRefusal('invalid_adapter', field, value, 'it must be a number')
}

/** true, false, or absent for false. */
export function readFlag(field: string, value: unknown): boolean {
  if (typeof value === 'boolean') return value
  if (value === undefined || value === null) return false
  throw fieldRefusal('invalid_adapter', field, value, 'it must be true or false')
}

/** A list of strings; absent for null. */
export function readNames(field: string, value: unknown): readonly string[] | null {
  if (value === undefined || value === null) return null
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value
  throw fieldRefusal('invalid_adapter', field, value, 'it must be a list of strings')
}

/** A list of layer indices; absent for null. */
export function readLayers(field: string, value: unknown): readonly number[] | null {
  if (value === undefined || value === null) return null
  if (Array.isArray(value) && value.every((item) => Number.isSafeInteger(item))) return value as number[]
  throw fieldRefusal('invalid_adapter', field, value, 'it must be a list of layer indices')
}
