import { setTimeout } from 'node:timers/promises'
import { completeSettings } from '../config/load.ts'
import type { Settings } from '../config/schema.ts'
import type { ModelInfo } from '../core/model-info.ts'
import type { Rooms } from './rooms.ts'
import { createLogger } from '../telemetry/log.ts'
import type { Logger } from '../telemetry/log.ts'
import { Metrics } from '../telemetry/metrics.ts'
import { Admission } from '../tenancy/admission.ts'
import type { Keyring } from '../tenancy/keys.ts'
import { AdapterSources } from '../intake/sources.ts'
import { buildApp } from '../server/app.ts'
import type { App } from '../server/app.ts'
import { openBackend } from './backend.ts'
import { openIdentity } from './identity.ts'
import type { Backend, Progress } from './backend.ts'
import { listen } from '../server/listen.ts'
import { readinessOf } from './readiness.ts'
import { closeGracefully } from '../server/shutdown.ts'
import type { Edge } from '../server/edge/edge.ts'
import { LiveCertificates } from '../server/edge/live-certificates.ts'
import { Lifecycle } from '../server/edge/lifecycle.ts'
import { TlsFiles } from '../server/edge/tls-files.ts'

export interface StartHooks {
  readonly onProgress?: Progress
  /** Instead of a logger to stdout. */
  readonly log?: Logger
}

/** A server that listens. */
export interface Server {
  /** `http://host:port`, or `https://…` */
  readonly url: string
  readonly settings: Settings
  readonly info: ModelInfo
  readonly maxContext: number
  /** Requests need a key. */
  readonly keyed: boolean
  readonly rooms: Rooms
  readonly log: Logger
  /** Resolves when the engine thread died: the server can only be restarted. */
  readonly crashed: Promise<Error>
  /** Throws when the books of queue, rooms or engine contradict themselves. For tests: it takes time. */
  checkIntegrity(): Promise<void>
  /**
   * Says that it is not ready but still takes requests, for `drainSeconds` or until `hurry` aborts: balancers turn away meanwhile.
   * To be followed by `close`.
   */
  drain(hurry?: AbortSignal): Promise<void>
  /** Reads the keys file and the certificate again. What cannot be used is logged, and what was there stays. */
  reload(): void
  /** Takes no more requests, lets running ones finish for `shutdownSeconds` or until `hurry` aborts, then ends everything. Idempotent. */
  close(hurry?: AbortSignal): Promise<void>
}

/**
 * Starts a whole server: prepared model, engine, rooms, HTTP. Prints nothing. When a step fails, what was started is stopped.
 *
 * @throws TroupeError `invalid_config`, `invalid_model`, `storage_error`, `device_unavailable`
 */
export async function startServer(given: Partial<Settings>, hooks: StartHooks = {}): Promise<Server> {
  const settings = completeSettings(given)
  const log = hooks.log ?? createLogger(settings.logLevel)
  const identity = openIdentity(settings, log)
  const tls = TlsFiles.of(settings)
  const edge: Edge = { settings, lifecycle: new Lifecycle(), tls: tls?.read() ?? null }
  const backend = await openBackend(settings, log, hooks.onProgress)
  try {
    const keyring = identity.keyring(backend.rooms.tenants)
    const admission = new Admission({
      places: settings.maxBatch,
      maxWaiting: settings.queueLimit,
      maxRequestsPerTenant: settings.tenantConcurrency,
      limitsOf: (tenant) => keyring.limitsOf(tenant),
    })
    const app = await buildHttp(settings, edge, backend, admission, keyring, log)
    const url = await listen(app, settings)
    const certificates = tls && new LiveCertificates(tls, app.server, log)
    const { info, maxContext, rooms, engine } = backend
    let closing: Promise<void> | null = null
    const close = (hurry?: AbortSignal): Promise<void> => {
      certificates?.stop()
      return (closing ??= closeGracefully({ app, backend, log, seconds: settings.shutdownSeconds, hurry }))
    }
    const drain = async (hurry?: AbortSignal): Promise<void> => {
      edge.lifecycle.drain()
      await setTimeout(settings.drainSeconds * 1000, undefined, { signal: hurry }).catch(() => {})
    }
    const reload = (): void => {
      identity.reload()
      certificates?.reload()
    }
    const checkIntegrity = async (): Promise<void> => {
      admission.checkIntegrity()
      rooms.checkIntegrity()
      await engine.checkIntegrity()
    }
    const { crashed } = engine
    const keyed = !keyring.open
    return { url, settings, info, maxContext, keyed, rooms, log, crashed, checkIntegrity, drain, reload, close }
  } catch (error) {
    await backend.close()
    throw error
  }
}

async function buildHttp(
  settings: Settings,
  edge: Edge,
  backend: Backend,
  admission: Admission,
  keyring: Keyring,
  log: Logger,
): Promise<App> {
  const { engine, rooms, weightsCheck, text, grammars, modelDefaults, maxContext } = backend
  const { catalogue, changes, residency, intake, evaluation, tenants, tenantChanges, server } = rooms
  const metrics = new Metrics({ vllm: settings.vllmMetrics })
  metrics.observe({
    engine: () => engine.stats(),
    tiers: () => [{ tier: 'memory', ...rooms.stats().memory }],
    queue: () => admission.stats(),
    grammars: () => grammars.counters,
    store: () => rooms.stats(),
    residents: () =>
      residency.residents().map(({ version: { adapter, version, rank }, isKept }) => {
        return { name: `${adapter}@v${version}`, rank, isKept }
      }),
    weights: () => ({ checkedBytes: weightsCheck.checkedBytes, damagedTensors: weightsCheck.damaged.length }),
  })
  const deps = {
    ...{
      engine,
      catalogue,
      changes,
      residency,
      intake,
      evaluation,
      sources: new AdapterSources(settings.adapterSources),
      server,
      text,
      grammars,
      modelDefaults,
      keyring,
      tenants,
      tenantChanges,
      admission,
      metrics,
      log,
    },
    settings: {
      maxContext,
      bodyLimitBytes: settings.bodyLimit,
      uploadLimitBytes: settings.uploadLimit,
      logPrompts: settings.logPrompts,
      strictRequests: settings.strictRequests,
    },
    readiness: () => readinessOf(engine, rooms.journal, weightsCheck),
  }
  return buildApp(deps, edge)
}
