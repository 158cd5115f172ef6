import { canonicalJson } from '../core/json.ts'

/** How an answer's fields compare with those of the expected JSON. */
export interface FieldScore {
  /** Equal fields of all that either of them has. */
  readonly share: number
  /** Whether each field of the expected value is equal in the answer, by its path: `customer.name`, `lines[0]`. */
  readonly fields: Readonly<Record<string, boolean>>
}

/**
 * Compares two JSON texts field by field: every value that is no object or list is a field, and so is an empty one. An answer that is no
 * JSON has none of them; fields that were not expected count as wrong.
 *
 * @param expected must be JSON
 */
export function jsonFields(answer: string, expected: string): FieldScore {
  const wanted = flat(JSON.parse(expected))
  const given = flat(parsed(answer))
  const fields = Object.fromEntries([...wanted].map(([path, value]) => [path, given.get(path) === value]))
  const equal = Object.values(fields).filter(Boolean).length
  const all = new Set([...wanted.keys(), ...given.keys()]).size
  return { share: all === 0 ? 1 : equal / all, fields }
}

/** Undefined = the text is no JSON. */
export function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}

function flat(value: unknown): Map<string, string> {
  const found = new Map<string, string>()
  const visit = (one: unknown, path: string): void => {
    if (typeof one === 'object' && one !== null && Object.keys(one).length > 0) {
      if (Array.isArray(one)) one.forEach((item, i) => visit(item, `${path}[${i}]`))
      else for (const [name, item] of Object.entries(one)) visit(item, path === '' ? name : `${path}.${name}`)
    } else if (one !== undefined) found.set(path, canonicalJson(one))
  }
  visit(value, '')
  return found
}
