import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import type { InjectOptions, LightMyRequestResponse } from 'fastify'
import { TroupeError } from '../../src/core/errors.ts'
import type { AdapterReader } from '../../src/registry/loader-messages.ts'
import type { RegistryOptions } from '../../src/registry/assembly.ts'
import type { VersionRecord } from '../../src/registry/records.ts'
import { Registry } from '../../src/registry/registry.ts'
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
import { scratchFolder } from './at-exit.ts'
import { contractCheck } from './contract.ts'
import { FAKE_CONFIG, fakeWeights } from './fake-adapter.ts'
import { FakeEngine } from './fake-engine.ts'
import { fakeText } from './fake-text.ts'

/** The whole HTTP side on the real registry; engine, tokenizer and adapter files are stand-ins. */
export interface TestApp {
  readonly app: App
  /** Sends a request and compares the JSON answer with what `openapi.yaml` says about it. */
  readonly call: (request: InjectOptions) => Promise<LightMyRequestResponse>
  readonly engine: FakeEngine
  readonly registry: Registry
  readonly storeDir: string
  readonly admission: Admission
  readonly metrics: Metrics
  readonly log: string[]
  /** One version per label. */
  readonly addAdapter: (name: string, ...labels: string[]) => Promise<readonly VersionRecord[]>
}

export interface TestAppOptions {
  readonly tenants?: readonly TenantKeys[]
  readonly places?: number
  readonly maxWaiting?: number
  readonly maxRequestsPerTenant?: number | null
  readonly settings?: Partial<ServerDeps['settings']>
  readonly readiness?: ServerDeps['readiness']
  readonly modelDefaults?: ServerDeps['modelDefaults']
  readonly registry?: Partial<RegistryOptions>
  readonly edge?: Partial<EdgeSettings>
  readonly tls?: Edge['tls']
  /** Begin without the adapter `json` (v1 `aaaa`, v2 `bbbb`) and the task `extract` on its v1. */
  readonly empty?: boolean
}

/** Bytes of a version in memory. */
export const VERSION_BYTES = 512

/** The stored weights of a version: tests alter them to see what comes of it. */
export function storedWeights({ storeDir }: TestApp, adapter: string, label: string): string {
  const folder = digestOf(label).slice('sha256:'.length)
  return join(storeDir, 'adapters', adapter, folder, 'adapter_model.safetensors')
}

/** The digest of the version that `weightsFile(label)` makes. */
export function digestOf(label: string): string {
  return `sha256:${label.padEnd(64, '0')}`
}

/** A weights file whose version has `digestOf(label)`: hexadecimal digits. */
export function weightsFile(label: string): string {
  return JSON.stringify({ label, effect: 0.5 })
}

export async function testApp(options: TestAppOptions = {}): Promise<TestApp> {
  const engine = new FakeEngine()
  const storeDir = scratchFolder('troupe-app-')
  const { places = 8, maxWaiting = 64, maxRequestsPerTenant = null } = options
  const admission = new Admission({ places, maxWaiting, maxRequestsPerTenant })
  const metrics = new Metrics({ process: false })
  const lines: string[] = []
  const log = createLogger('info', { write: (line) => void lines.push(line) })
  const registry = await Registry.open({
    ...{ storeDir, host: engine.host, reader: readLabelled, memoryBytes: 64 * VERSION_BYTES },
    ...{ scanIntervalMs: 3_600_000, dropStableMs: 0, log: createLogger('silent') },
    ...options.registry,
  })
  const deps = {
    ...{ engine, registry, text: fakeText, admission, metrics, log },
    modelDefaults: options.modelDefaults ?? {},
    keyring: new Keyring(options.tenants ?? []),
    settings: {
      maxContext: 120,
      bodyLimitBytes: 64 * 1024,
      uploadLimitBytes: 4096,
      logPrompts: false,
      strictRequests: false,
      ...options.settings,
    },
    readiness: options.readiness ?? (async () => []),
  }
  const app = await buildApp(deps, { ...edgeOf(options.edge), tls: options.tls ?? null })
  app.addHook('onClose', async () => registry.close())
  const addAdapter: TestApp['addAdapter'] = async (name, ...labels) => {
    const records: VersionRecord[] = []
    for (const label of labels) {
      const staging = await registry.stageUpload()
      await staging.write('adapter_config.json', Readable.from([Buffer.from(FAKE_CONFIG)]))
      await staging.write('adapter_model.safetensors', Readable.from([Buffer.from(weightsFile(label))]))
      records.push((await registry.addVersion(name, staging, { source: 'upload', by: 'tests' })).record)
    }
    return records
  }
  if (!options.empty) {
    await addAdapter('json', 'aaaa', 'bbbb')
    await registry.putTask('extract', { routes: [{ adapter: 'json', version: 1 }], prompt: 'T:{input}!' }, 'tests')
  }
  await app.ready()
  return { app, call: contractCheck(app), engine, registry, storeDir, admission, metrics, log: lines, addAdapter }
}

const readLabelled: AdapterReader = async (dir) => {
  const text = await readFile(join(dir, 'adapter_model.safetensors'), 'utf8')
  const { label, effect } = parsed(text)
  const digest = label ? digestOf(label) : `sha256:${createHash('sha256').update(text).digest('hex')}`
  return {
    weights: fakeWeights(digest, effect, VERSION_BYTES),
    description: {
      ...{ format: 'peft', method: 'lora', rank: 8, sites: ['layers.0.q_proj'], virtualTokens: 0 },
      ...{ parameters: 128, bytes: VERSION_BYTES, baseModel: null, warnings: [] },
    },
  }
}

function parsed(text: string): { label?: string; effect: number } {
  try {
    return JSON.parse(text) as { label?: string; effect: number }
  } catch (cause) {
    throw new TroupeError('invalid_adapter', 'adapter_model.safetensors: the header is broken', { cause })
  }
}
