import { readKeysFile } from '../config/keys-file.ts'
import { completeSettings } from '../config/load.ts'
import type { Settings } from '../config/schema.ts'
import type { ModelInfo } from '../core/model-info.ts'
import type { Rooms } from './rooms.ts'
import { createLogger } from '../telemetry/log.ts'
import type { Logger } from '../telemetry/log.ts'
import { Metrics } from '../telemetry/metrics.ts'
import { Admission } from '../tenancy/admission.ts'
import { Keyring } from '../tenancy/keys.ts'
import { buildApp } from '../server/app.ts'
import type { App } from '../server/app.ts'
import { openBackend } from './backend.ts'
import type { Backend, Progress } from './backend.ts'
import { listen } from '../server/listen.ts'
import { readinessOf } from './readiness.ts'
import { closeGracefully } from '../server/shutdown.ts'
import { SilentConnections } from '../server/silent-connections.ts'

export interface StartHooks {
  readonly onProgress?: Progress
  /** Instead of a logger to stdout. */
  readonly log?: Logger
}

/** A server that listens. */
export interface Server {
  /** `http://host:port` */
  readonly url: string
  readonly settings: Settings
  readonly info: ModelInfo
  readonly maxContext: number
  readonly rooms: Rooms
  readonly log: Logger
  /** Resolves when the engine thread died: the server can only be restarted. */
  readonly crashed: Promise<Error>
  /** Throws when the books of queue, rooms or engine contradict themselves. For tests: it takes time. */
  checkIntegrity(): Promise<void>
  /** Takes no more requests, lets running ones finish for `shutdownSeconds` or until `hurry` aborts, then ends everything. Idempotent. */
  close(hurry?: AbortSignal): Promise<void>
}

/**
 * Starts a whole server: prepared model, engine, rooms, HTTP. Prints nothing. When a step fails, what was started is stopped.
 *
 * @throws TroupeError `invalid_config`, `invalid_model`, `storage_error`
 */
export async function startServer(given: Partial<Settings>, hooks: StartHooks = {}): Promise<Server> {
  const settings = completeSettings(given)
  const log = hooks.log ?? createLogger(settings.logLevel)
  const keyring = new Keyring(settings.keys === undefined ? [] : readKeysFile(settings.keys))
  const backend = await openBackend(settings, log, hooks.onProgress)
  try {
    const admission = new Admission({
      places: settings.maxBatch,
      maxWaiting: settings.queueLimit,
      maxRequestsPerTenant: settings.tenantConcurrency,
    })
    const app = await buildHttp(settings, backend, admission, keyring, log)
    const silent = new SilentConnections(app.server)
    const url = await listen(app, settings)
    const { info, maxContext, rooms, engine } = backend
    let closing: Promise<void> | null = null
    const close = (hurry?: AbortSignal): Promise<void> =>
      (closing ??= closeGracefully({ app, silent, backend, log, seconds: settings.shutdownSeconds, hurry }))
    const checkIntegrity = async (): Promise<void> => {
      admission.checkIntegrity()
      rooms.checkIntegrity()
      await engine.checkIntegrity()
    }
    return { url, settings, info, maxContext, rooms, log, crashed: engine.crashed, checkIntegrity, close }
  } catch (error) {
    await backend.close()
    throw error
  }
}

async function buildHttp(
  settings: Settings,
  backend: Backend,
  admission: Admission,
  keyring: Keyring,
  log: Logger,
): Promise<App> {
  const { engine, rooms, text, grammars, modelDefaults, maxContext } = backend
  const { catalogue, changes, residency, intake, server } = rooms
  const metrics = new Metrics()
  metrics.observe({
    engine: () => engine.stats(),
    tiers: () => [{ tier: 'memory', ...rooms.stats().memory }],
    queue: () => admission.stats(),
    grammars: () => grammars.counters,
    store: () => rooms.stats(),
  })
  return buildApp({
    ...{
      engine,
      catalogue,
      changes,
      residency,
      intake,
      server,
      text,
      grammars,
      modelDefaults,
      keyring,
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
    readiness: () => readinessOf(engine, rooms.journal),
  })
}
