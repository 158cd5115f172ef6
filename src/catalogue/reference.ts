import { TroupeError } from '../core/errors.ts'
import type { VersionReference } from './records.ts'

/** Which version of an adapter: the newest ready one, one by its number, or one by the start of its digest. */
export type Selector =
  | { readonly kind: 'newest' }
  | { readonly kind: 'version'; readonly version: number }
  | { readonly kind: 'digest'; readonly prefix: string }

export const NEWEST: Selector = { kind: 'newest' }

/** What a version may be called, as a pattern for schemas; `3` may also be a number. */
export const REFERENCE_PATTERN = '^(latest|v?[1-9][0-9]{0,8}|sha256:[0-9a-f]{12,64})$'
export const REFERENCE_RULE = '`v3`, `3`, `latest`, or `sha256:` with at least 12 hex digits'

/**
 * Reads what a client calls a version: the one place that does.
 *
 * @param param the field in the message
 * @throws TroupeError `invalid_request`
 */
export function parseReference(reference: VersionReference, param: string): Selector {
  const text = String(reference)
  if (text === 'latest') return NEWEST
  const number = /^v?([1-9][0-9]{0,8})$/.exec(text)
  if (number?.[1] !== undefined) return { kind: 'version', version: Number(number[1]) }
  if (/^sha256:[0-9a-f]{12,64}$/.test(text)) return { kind: 'digest', prefix: text }
  const message = `${param}: ${JSON.stringify(text.slice(0, 80))} is no version; write ${REFERENCE_RULE}`
  throw new TroupeError('invalid_request', message, { param })
}

/** Splits `name` or `name@version`. @throws TroupeError `invalid_request` when what follows the `@` is no version */
export function parseNamed(text: string, param: string): { readonly name: string; readonly selector: Selector | null } {
  const at = text.indexOf('@')
  if (at < 0) return { name: text, selector: null }
  return { name: text.slice(0, at), selector: parseReference(text.slice(at + 1), param) }
}

/** `v3` or `sha256:0123…`, for messages. */
export function describeSelector(selector: Selector): string {
  if (selector.kind === 'version') return `v${selector.version}`
  return selector.kind === 'digest' ? selector.prefix : 'latest'
}
