import { availableMemory } from '../config/defaults.ts'
import { readKeysFile } from '../config/keys-file.ts'
import { completeSettings } from '../config/load.ts'
import type { Settings } from '../config/schema.ts'
import type { ModelInfo } from '../core/model-info.ts'
import { Engine } from '../engine/engine.ts'
import { defaultCacheDir, prepareModel } from '../model/prepare.ts'
import { Registry } from '../registry/registry.ts'
import { createLogger } from '../telemetry/log.ts'
import type { Logger } from '../telemetry/log.ts'
import { Metrics } from '../telemetry/metrics.ts'
import { Admission } from '../tenancy/admission.ts'
import { Keyring } from '../tenancy/keys.ts'
import { ModelText } from '../text/model-text.ts'
import { buildApp } from './app.ts'
import { listen } from './listen.ts'
import { checkKvFits, contextLength } from './model-limits.ts'
import { readinessOf } from './readiness.ts'
import { closeGracefully } from './shutdown.ts'

export interface StartHooks {
  /** As in `prepareModel`. */
  readonly onProgress?: (done: number, total: number, what: string) => void
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
  readonly registry: Registry
  readonly log: Logger
  /** Resolves when the engine thread died: the server can only be restarted. */
  readonly crashed: Promise<Error>
  /** Takes no more requests, lets running ones finish for `shutdownSeconds`, then ends everything. Idempotent. */
  close(): Promise<void>
}

/**
 * Starts a whole server: prepared model, engine, registry, HTTP. Prints nothing; what was started is stopped again when a later
 * step fails.
 *
 * @throws TroupeError `invalid_config`, `invalid_model`, `storage_error`
 */
export async function startServer(given: Partial<Settings>, hooks: StartHooks = {}): Promise<Server> {
  const settings = completeSettings(given)
  const undo: (() => Promise<void>)[] = []
  try {
    return await start(settings, hooks, undo)
  } catch (error) {
    for (const stop of undo.reverse()) await stop()
    throw error
  }
}

async function start(settings: Settings, hooks: StartHooks, undo: (() => Promise<void>)[]): Promise<Server> {
  const log = hooks.log ?? createLogger(settings.logLevel)
  const keyring = new Keyring(settings.keys === undefined ? [] : readKeysFile(settings.keys))
  const { dir, manifest } = await prepareModel({
    modelDir: settings.model,
    precision: settings.precision,
    cacheDir: settings.cacheDir ?? defaultCacheDir(),
    name: settings.name,
    onProgress: hooks.onProgress,
  })
  const maxContext = contextLength(manifest.info, settings.maxContext)
  checkKvFits(manifest.info, settings.maxBatch, maxContext, availableMemory())
  const text = await ModelText.load(settings.model, maxContext)

  const { device, maxBatch, prefillChunk, bankBytes, threads } = settings
  const engine = await Engine.start(
    { preparedDir: dir, device, maxBatch, maxContext, prefillChunk, bankBytes, threads },
    manifest.info.name,
  )
  undo.push(() => engine.stop())
  engine.onFault = (message) => log.error({ message }, 'a call of the engine failed')

  const registry = await Registry.open({
    storeDir: settings.store,
    host: engine,
    memoryBytes: settings.memoryBytes,
    log,
  })
  undo.push(() => registry.close())

  const admission = new Admission({
    places: maxBatch,
    maxWaiting: settings.queueLimit,
    maxRequestsPerTenant: settings.tenantConcurrency,
  })
  const metrics = new Metrics()
  metrics.observe({
    engine: () => engine.stats(),
    tiers: () => [{ tier: 'memory', ...registry.stats().memory }],
    queue: () => admission.stats(),
    registry: () => registry.stats(),
  })

  const app = await buildApp({
    ...{ engine, registry, text, keyring, admission, metrics, log },
    settings: {
      maxContext,
      bodyLimitBytes: settings.bodyLimit,
      uploadLimitBytes: settings.uploadLimit,
      logPrompts: settings.logPrompts,
    },
    readiness: () => readinessOf(engine, registry),
  })
  undo.push(() => app.close())
  const url = await listen(app, settings)

  let closing: Promise<void> | null = null
  const close = (): Promise<void> =>
    (closing ??= closeGracefully({ app, registry, engine, log, seconds: settings.shutdownSeconds }))
  return { url, settings, info: engine.info, maxContext, registry, log, crashed: engine.crashed, close }
}
