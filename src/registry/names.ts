import { TroupeError } from '../core/errors.ts'

const SEGMENT = '[a-z0-9][a-z0-9._-]{0,62}'

/** Names of adapters and tasks: `invoice-json`, or `acme/invoice-json` with the owning tenant before the slash. */
export const NAME_PATTERN = `^${SEGMENT}(/${SEGMENT})?$`

/** The tenant that sees every name. */
const ADMIN = '*'

const NAME = new RegExp(NAME_PATTERN)
const PART = new RegExp(`^${SEGMENT}$`)

/** Whether `text` can be a name: lower case, at most one slash, no way to climb out of a folder. */
export function isName(text: string): boolean {
  return NAME.test(text) && text.split('/').every((part) => isNamePart(part))
}

/** Whether `text` can be one side of the slash. `.json` is kept for task files, so that no folder is called like one. */
export function isNamePart(text: string): boolean {
  return PART.test(text) && !text.endsWith('.json')
}

/**
 * Refuses what cannot be a name, before it touches a path.
 * @param what the field in messages: `adapter` or `task`
 * @throws TroupeError `invalid_request`
 */
export function checkName(text: string, what: 'adapter' | 'task'): void {
  if (isName(text)) return
  throw new TroupeError(
    'invalid_request',
    `${JSON.stringify(text.slice(0, 140))} cannot name ${what === 'task' ? 'a task' : 'an adapter'}: use lower-case letters, digits, ".", "_" and "-", ` +
      'up to 63 of them starting with a letter or digit and not ending in ".json"; one slash may separate the owner',
    { param: what },
  )
}

/** The tenant before the slash; null = the name belongs to all. */
export function ownerOf(name: string): string | null {
  const slash = name.indexOf('/')
  return slash < 0 ? null : name.slice(0, slash)
}

/** Owned names are visible to their owner only; unowned ones to all; everything to the administrator. */
export function canSee(name: string, tenant: string): boolean {
  const owner = ownerOf(name)
  return owner === null || owner === tenant || tenant === ADMIN
}

/** Which version of an adapter: the newest ready one, one by its alias, or one by the start of its digest. */
export type Selector =
  | { readonly kind: 'newest' }
  | { readonly kind: 'version'; readonly version: number }
  | { readonly kind: 'digest'; readonly prefix: string }

export interface Reference {
  readonly name: string
  readonly selector: Selector
}

export const NEWEST: Selector = { kind: 'newest' }

/**
 * Reads `name`, `name@v3`, `name@3` or `name@sha256:<at least 12 hex digits>`.
 * @throws TroupeError `invalid_request` when what follows the `@` is none of these
 */
export function parseReference(text: string, param: string): Reference {
  const at = text.indexOf('@')
  if (at < 0) return { name: text, selector: NEWEST }
  const name = text.slice(0, at)
  const suffix = text.slice(at + 1)
  const number = /^v?([1-9][0-9]{0,8})$/.exec(suffix)
  if (number?.[1] !== undefined) return { name, selector: { kind: 'version', version: Number(number[1]) } }
  const digest = /^sha256:[0-9a-f]{12,64}$/.exec(suffix)
  if (digest) return { name, selector: { kind: 'digest', prefix: digest[0] } }
  throw new TroupeError(
    'invalid_request',
    `${param}: after "@" comes a version such as v3, or sha256: with at least 12 hex digits; got ${JSON.stringify(suffix.slice(0, 80))}`,
    { param },
  )
}

/** `v3` or `sha256:0123…`, for messages. */
export function describeSelector(selector: Selector): string {
  if (selector.kind === 'version') return `v${selector.version}`
  return selector.kind === 'digest' ? selector.prefix : 'newest'
}
