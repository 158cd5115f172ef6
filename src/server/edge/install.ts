import type { FastifyHttpOptions, RawServerDefault } from 'fastify'
import type { Metrics } from '../../telemetry/metrics.ts'
import type { Keyring } from '../../tenancy/keys.ts'
import type { App } from '../app.ts'
import { installBodyDeadlines } from './body-deadlines.ts'
import { Connections } from './connections.ts'
import type { Edge } from './edge.ts'
import { installGuards } from './guards.ts'
import { installLifecycle } from './lifecycle.ts'
import { installPipelining } from './pipelining.ts'
import { trustedProxies } from './proxies.ts'

/** How often Node looks for requests whose headers are late. */
const LOOK_MS = 500
/** Bodies have deadlines of their own, which grow with what came. */
const NO_LIMIT = 0

declare module 'fastify' {
  interface FastifyInstance {
    connections: Connections
  }
}

/** What the framework has to know when it makes the server. */
export function listenerOptions({ settings, tls }: Edge): FastifyHttpOptions<RawServerDefault> {
  const isProxy = trustedProxies(settings.trustedProxies)
  const deadlines = { headersTimeout: settings.headerSeconds * 1000, connectionsCheckingInterval: LOOK_MS }
  return {
    trustProxy: settings.trustedProxies.length > 0 ? isProxy : false,
    http: deadlines,
    // The framework's types know HTTPS only as another kind of application; it is the same one over another listener.
    ...(tls && { https: { ...deadlines, ...tls, minVersion: 'TLSv1.2', handshakeTimeout: deadlines.headersTimeout } }),
    keepAliveTimeout: settings.idleSeconds * 1000,
    requestTimeout: NO_LIMIT,
    forceCloseConnections: 'idle',
    // Refused with the one envelope instead.
    return503OnClosing: false,
  }
}

/** Everything that happens to a connection and a request before any route. To be called before routes are added. */
export async function installEdge(
  app: App,
  edge: Edge,
  { metrics, keyring }: { readonly metrics: Metrics; readonly keyring: Keyring },
): Promise<void> {
  const { settings } = edge
  const limits = {
    total: settings.maxConnections,
    perAddress: settings.maxConnectionsPerAddress,
    isProxy: trustedProxies(settings.trustedProxies),
    stallMs: settings.stallSeconds * 1000,
  }
  const connections = new Connections(app.server, limits, {
    refused: (reason) => metrics.connectionRefused(reason),
    cut: (reason) => metrics.connectionCut(reason),
  })
  metrics.observeConnections(() => connections.open)
  app.decorate('connections', connections)
  installPipelining(app, () => metrics.connectionCut('pipeline'))
  installBodyDeadlines(app, settings.bodySeconds, () => metrics.connectionCut('body'))
  await installGuards(app, edge, keyring)
  installLifecycle(app, edge.lifecycle)
}
