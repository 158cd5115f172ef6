import type { FastifyRequest } from 'fastify'
import { TroupeError } from '../../core/errors.ts'

const SAFE_METHODS = new Set(['GET', 'HEAD', 'OPTIONS'])
/** What a form can send; a page needs nobody's leave for it. */
const FORM_TYPES = ['application/x-www-form-urlencoded', 'multipart/form-data', 'text/plain']

/** Whether pages of `origin` may use the API. */
export function isAllowedOrigin(origin: string, allowed: readonly string[]): boolean {
  return allowed.includes('*') || allowed.some((one) => one.toLowerCase() === origin.toLowerCase())
}

/**
 * Refuses changes that a foreign web page asks for. A server without keys would otherwise do what any page says that is open in a browser on
 * its network (CSRF). Browsers tell: they send `Origin` with everything but GET and HEAD, and `Sec-Fetch-Site`; scripts cannot remove or
 * forge either. A request with none of the marks of a browser comes from a program, which may as well send them or not.
 *
 * @param request `host` is the one the client used, also behind a trusted proxy
 * @throws TroupeError `origin_not_allowed`
 */
export function checkOrigin(request: FastifyRequest, allowed: readonly string[]): void {
  if (SAFE_METHODS.has(request.method)) return
  const { origin, referer } = request.headers
  const site = request.headers['sec-fetch-site']
  if (origin !== undefined) {
    if (isAllowedOrigin(origin, allowed) || isSameHost(origin, request.host)) return
    throw refused(origin)
  }
  if (site === 'cross-site' || site === 'same-site') throw refused(referer ?? 'another site')
  // Browsers of old sent forms without `Origin`, but with the page they came from.
  const type = request.headers['content-type']?.split(';')[0]?.trim().toLowerCase()
  const isForm = type === undefined || FORM_TYPES.includes(type)
  if (isForm && referer !== undefined && !isSameHost(referer, request.host)) throw refused(referer)
}

function isSameHost(url: string, host: string): boolean {
  if (!URL.canParse(url)) return false
  const { protocol } = new URL(url)
  const own = `${protocol}//${host}`
  return protocol.startsWith('http') && URL.canParse(own) && new URL(url).host === new URL(own).host
}

function refused(from: string): TroupeError {
  return new TroupeError(
    'origin_not_allowed',
    `a web page of ${from} may not change anything here: add its origin to the setting \`allowedOrigins\` (--allowed-origins) if it should`,
    { param: 'origin' },
  )
}
