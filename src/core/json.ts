import type { ErrorCode } from './errors.ts'
import { TroupeError, messageOf } from './errors.ts'

export type JsonObject = Readonly<Record<string, unknown>>

/** Deepest nesting accepted from a file. */
const MAX_DEPTH = 64
/** Some editors put it before UTF-8 text, where it means nothing. */
const BYTE_ORDER_MARK = '\uFEFF'

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/**
 * Parses text that must be a JSON object.
 *
 * @param what how the text is called in the message, such as `config.json of /models/demo`
 * @param code code of the `TroupeError` thrown when the text is something else
 * @param param the error's `param`; default `what`
 */
export function parseJsonObject(text: string, what: string, code: ErrorCode, param = what): JsonObject {
  let value: unknown
  try {
    value = JSON.parse(text.startsWith(BYTE_ORDER_MARK) ? text.slice(1) : text)
  } catch (cause) {
    const reason = messageOf(cause)
    const detail = text.includes('\0') ? 'it looks like UTF-16 text: save it as UTF-8' : reason
    throw new TroupeError(code, `${what} is not valid JSON: ${detail}`, { param, cause })
  }
  if (!isJsonObject(value)) throw new TroupeError(code, `${what} must be a JSON object`, { param })
  if (isDeeperThan(value, MAX_DEPTH)) {
    throw new TroupeError(code, `${what} is nested more than ${MAX_DEPTH} levels deep`, { param })
  }
  return value
}

function isDeeperThan(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  return levels === 0 || Object.values(value).some((item) => isDeeperThan(item, levels - 1))
}

/** JSON with the keys of every object in code unit order and no white space: equal values give equal text. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map((item) => canonicalJson(item ?? null)).join(',')}]`
  if (!isJsonObject(value)) return JSON.stringify(value ?? null)
  const entries = Object.keys(value)
    .filter((key) => value[key] !== undefined)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${canonicalJson(value[key])}`)
  return `{${entries.join(',')}}`
}
