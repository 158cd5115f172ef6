import cors from '@fastify/cors'
import helmet from '@fastify/helmet'
import type { App } from '../app.ts'
import type { Edge } from './edge.ts'
import { KnownHosts } from './hosts.ts'
import { checkOrigin, isAllowedOrigin } from './origins.ts'

/** Probes come by whatever name the prober knows, and learn nothing. */
const PROBES = /^\/health(\/|$|\?)/
/** Headers of answers that pages may read. */
const EXPOSED = ['x-request-id', 'x-troupe-adapters', 'retry-after', 'content-length']
const PREFLIGHT_SECONDS = 600

/**
 * What a browser has to be told and asked. Before all routes.
 *
 * @param keyring while it is open, whoever reaches the server may use it
 */
export async function installGuards(
  app: App,
  { settings, tls }: Edge,
  keyring: { readonly open: boolean },
): Promise<void> {
  const { allowedHosts, allowedOrigins } = settings
  await app.register(helmet, {
    // Answers are data: nothing in them is to be run, loaded or framed. The pages of /docs bring a policy of their own.
    contentSecurityPolicy: { useDefaults: false, directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] } },
    frameguard: { action: 'deny' },
    referrerPolicy: { policy: 'no-referrer' },
    hsts: tls === null ? false : { maxAge: 365 * 24 * 3600 },
  })

  const hosts = new KnownHosts(settings.host, allowedHosts)
  app.addHook('onRequest', async (request) => {
    const { open } = keyring
    if ((open || allowedHosts.length > 0) && !PROBES.test(request.url)) hosts.check(request.host)
    if (open) checkOrigin(request, allowedOrigins)
  })

  if (allowedOrigins.length === 0) return
  await app.register(cors, {
    origin: (origin, answer) => answer(null, origin !== undefined && isAllowedOrigin(origin, allowedOrigins)),
    methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
    exposedHeaders: EXPOSED,
    maxAge: PREFLIGHT_SECONDS,
  })
}
