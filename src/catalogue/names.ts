import { TroupeError } from '../core/errors.ts'

const SEGMENT = '[a-z0-9][a-z0-9._-]{0,62}'

/** Names of adapters and tasks: `invoice-json`, or `acme/invoice-json` with the owning tenant before the slash. */
export const NAME_PATTERN = `^${SEGMENT}(/${SEGMENT})?$`

/** What can stand on one side of the slash, such as a tenant's name. */
export const NAME_PART_PATTERN = `^${SEGMENT}$`

/** As a viewer: sees every name. In a list of those something is shared with: all tenants. */
export const ALL = '*'

const NAME = new RegExp(NAME_PATTERN)
const PART = new RegExp(NAME_PART_PATTERN)

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

/** Whether the tenant sees all there is to know of a name: its own, nobody's; the administrator of every one. */
export function ownsView(name: string, tenant: string): boolean {
  const owner = ownerOf(name)
  return owner === null || owner === tenant || tenant === ALL
}

/** Owned names are visible to their owner and whom they are shared with; unowned ones to all; everything to the administrator. */
export function canSee(name: string, tenant: string, sharedWith: readonly string[] = []): boolean {
  return ownsView(name, tenant) || sharedWith.includes(ALL) || sharedWith.includes(tenant)
}
