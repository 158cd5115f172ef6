import type { IncomingMessage } from 'node:http'

/** Last parts of a path that are actions on a resource, not the second half of its name. */
const ACTIONS = new Set(['versions', 'merges', 'generate', 'activate', 'rollback', 'shadow', 'history'])
const NAMED = /^(\/v1\/(?:tasks|adapters|models)\/)([^/?]+)\/([^/?]+)([^?]*)(\?.*)?$/

/**
 * Names may have an owner before a slash: `acme/invoice`. Clients should write it as `%2F`; here the plain form is turned into that, wherever
 * it cannot be mistaken: `/v1/tasks/acme/invoice/generate` → `/v1/tasks/acme%2Finvoice/generate`.
 */
export function joinOwnedNames(request: Pick<IncomingMessage, 'url'>): string {
  const url = request.url ?? '/'
  const match = NAMED.exec(url)
  if (!match) return url
  const [, prefix = '', first = '', second = '', rest = '', query = ''] = match
  if (ACTIONS.has(second) || first.includes('%2F') || first.includes('%2f')) return url
  return `${prefix}${first}%2F${second}${rest}${query}`
}
