import type { InjectOptions, LightMyRequestResponse } from 'fastify'
import { buildApp } from '../../src/server/app.ts'
import type { App } from '../../src/server/app.ts'
import type { ServerDeps } from '../../src/server/deps.ts'
import { edgeOf } from '../../src/server/edge/edge.ts'
import type { Edge, EdgeSettings } from '../../src/server/edge/edge.ts'
import { createLogger } from '../../src/telemetry/log.ts'
import { Metrics } from '../../src/telemetry/metrics.ts'
import { Admission } from '../../src/tenancy/admission.ts'
import { Keyring } from '../../src/tenancy/keys.ts'
import type { TenantKeys } from '../../src/tenancy/keys.ts'
import { contractCheck } from './contract.ts'
import { FakeEngine } from './fake-engine.ts'
import { FakeRegistry } from './fake-registry.ts'
import { fakeText } from './fake-text.ts'

export interface FakeApp {
  readonly app: App
  /** Sends a request and compares the JSON answer with what `openapi.yaml` says about it. */
  readonly call: (request: InjectOptions) => Promise<LightMyRequestResponse>
  readonly engine: FakeEngine
  readonly registry: FakeRegistry
  readonly admission: Admission
  readonly metrics: Metrics
  readonly log: string[]
}

export interface FakeAppOptions {
  readonly tenants?: readonly TenantKeys[]
  readonly places?: number
  readonly maxWaiting?: number
  readonly maxRequestsPerTenant?: number | null
  readonly settings?: Partial<ServerDeps['settings']>
  readonly readiness?: ServerDeps['readiness']
  readonly edge?: Partial<EdgeSettings>
  readonly tls?: Edge['tls']
}

/** The whole HTTP side on fakes. */
export async function fakeApp(options: FakeAppOptions = {}): Promise<FakeApp> {
  const engine = new FakeEngine()
  const registry = new FakeRegistry()
  registry.addAdapter('json', 'aaaa', 'bbbb')
  await registry.putTask('extract', { routes: [{ adapter: 'json', version: 1 }], prompt: 'T:{input}!' })
  const { places = 8, maxWaiting = 64, maxRequestsPerTenant = null } = options
  const admission = new Admission({ places, maxWaiting, maxRequestsPerTenant })
  const metrics = new Metrics({ process: false })
  const log: string[] = []
  const deps = {
    engine,
    registry,
    text: fakeText,
    keyring: new Keyring(options.tenants ?? []),
    admission,
    metrics,
    log: createLogger('info', { write: (line) => void log.push(line) }),
    settings: {
      maxContext: 120,
      bodyLimitBytes: 64 * 1024,
      uploadLimitBytes: 4096,
      logPrompts: false,
      ...options.settings,
    },
    readiness: options.readiness ?? (async () => []),
  }
  const app = await buildApp(deps, { ...edgeOf(options.edge), tls: options.tls ?? null })
  await app.ready()
  return { app, call: contractCheck(app), engine, registry, admission, metrics, log }
}
