import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { InjectOptions, LightMyRequestResponse } from 'fastify'
import { TroupeError } from '../../src/core/errors.ts'
import type { AdapterReader } from '../../src/residency/loader-messages.ts'
import type { VersionRecord } from '../../src/catalogue/version.ts'
import { Rooms } from '../../src/app/rooms.ts'
import { GrammarCompiler } from '../../src/grammar/compiler.ts'
import { buildApp } from '../../src/server/app.ts'
import type { App } from '../../src/server/app.ts'
import type { ServerDeps } from '../../src/server/deps.ts'
import { edgeOf } from '../../src/server/edge/edge.ts'
import type { Edge, EdgeSettings } from '../../src/server/edge/edge.ts'
import { createLogger } from '../../src/telemetry/log.ts'
import { Metrics } from '../../src/telemetry/metrics.ts'
import { AdapterSources } from '../../src/intake/sources.ts'
import { Admission } from '../../src/tenancy/admission.ts'
import { Keyring } from '../../src/tenancy/keys.ts'
import { FileKeys } from '../../src/tenancy/file-keys.ts'
import type { TenantKeys } from '../../src/tenancy/file-keys.ts'
import type { Tokens } from '../../src/tenancy/tokens.ts'
import type { TenantLimits } from '../../src/tenancy/limits.ts'
import { scratchFolder } from './at-exit.ts'
import { contractCheck } from './contract.ts'
import { dropFake, fakeWeights } from './fake-adapter.ts'
import { FakeEngine } from './fake-engine.ts'
import type { FakeHost } from './fake-host.ts'
import { fakeText, fakeTokens } from './fake-text.ts'
import { filesOf, ME, openLocation, QUIET, STILL } from './store-folder.ts'

/** The whole HTTP side on the real rooms; engine, tokenizer and adapter files are stand-ins. */
export interface TestApp {
  readonly app: App
  /** Sends a request and compares the JSON answer with what `openapi.yaml` says about it. */
  readonly call: (request: InjectOptions) => Promise<LightMyRequestResponse>
  readonly engine: FakeEngine
  readonly rooms: Rooms
  readonly storeDir: string
  readonly admission: Admission
  readonly metrics: Metrics
  readonly log: string[]
  /** One version per label. */
  readonly addAdapter: (name: string, ...labels: string[]) => Promise<readonly VersionRecord[]>
}

export interface TestAppOptions {
  /** Keys as of a keys file. */
  readonly tenants?: readonly TenantKeys[]
  readonly tokens?: Tokens
  readonly places?: number
  readonly maxWaiting?: number
  readonly maxRequestsPerTenant?: number | null
  readonly settings?: Partial<ServerDeps['settings']>
  readonly readiness?: ServerDeps['readiness']
  /** Budget of the memory tier. */
  readonly memoryBytes?: number
  readonly host?: FakeHost
  readonly reader?: AdapterReader
  readonly modelDefaults?: ServerDeps['modelDefaults']
  readonly edge?: Partial<EdgeSettings>
  readonly tls?: Edge['tls']
  /** Places that versions may be fetched from. */
  readonly sources?: readonly string[]
  /** Begin without the adapter `json` (v1 `aaaa`, v2 `bbbb`) and the task `extract` on its v1. */
  readonly empty?: boolean
}

/** Bytes of a version in memory. */
export const VERSION_BYTES = 512

/** The stored weights of a version: tests alter them to see what comes of it. */
export function storedWeights({ rooms, storeDir }: TestApp, adapter: string, version: number): string {
  return join(filesOf(rooms, storeDir, adapter, version), 'adapter_model.safetensors')
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
  const metrics = new Metrics({ process: false })
  const lines: string[] = []
  const log = createLogger('info', { write: (line) => void lines.push(line) })
  const rooms = await Rooms.open({
    open: await openLocation(storeDir),
    ...{ host: options.host ?? engine.host, reader: options.reader ?? readLabelled, pace: STILL, log: QUIET },
    memory: { budgetBytes: options.memoryBytes ?? 64 * VERSION_BYTES },
  })
  const { catalogue, changes, residency, intake, evaluation, tenants, tenantChanges, server } = rooms
  const keyring = new Keyring({
    file: options.tenants && new FileKeys(options.tenants),
    tenants,
    tokens: options.tokens,
  })
  const limitsOf = (tenant: string): TenantLimits => keyring.limitsOf(tenant)
  const admission = new Admission({ places, maxWaiting, maxRequestsPerTenant, limitsOf })
  const grammars = new GrammarCompiler(fakeTokens)
  const deps = {
    ...{
      engine,
      catalogue,
      changes,
      residency,
      intake,
      evaluation,
      server,
      text: fakeText,
      grammars,
      admission,
      metrics,
      log,
    },
    modelDefaults: options.modelDefaults ?? {},
    ...{ keyring, tenants, tenantChanges },
    sources: new AdapterSources(options.sources ?? []),
    settings: {
      maxContext: 120,
      bodyLimitBytes: 64 * 1024,
      uploadLimitBytes: 4096,
      logPrompts: false,
      strictRequests: false,
      ...options.settings,
    },
    readiness: options.readiness ?? (async () => ({ reasons: [], degraded: [] })),
  }
  const app = await buildApp(deps, { ...edgeOf(options.edge), tls: options.tls ?? null })
  app.addHook('onClose', async () => grammars.close())
  app.addHook('onClose', async () => rooms.close())
  const addAdapter: TestApp['addAdapter'] = async (name, ...labels) => {
    const records: VersionRecord[] = []
    for (const label of labels) {
      const staging = await rooms.intake.stage()
      await dropFake(staging.dir, weightsFile(label))
      records.push((await rooms.intake.add(name, staging, { source: 'upload', ...ME })).record)
    }
    return records
  }
  if (!options.empty) {
    await addAdapter('json', 'aaaa', 'bbbb')
    await rooms.changes.putTask('extract', { routes: [{ adapter: 'json', version: 1 }], prompt: 'T:{input}!' }, ME)
  }
  await app.ready()
  return { app, call: contractCheck(app), engine, rooms, storeDir, admission, metrics, log: lines, addAdapter }
}

const readLabelled: AdapterReader = async (dir) => {
  const text = await readFile(join(dir, 'adapter_model.safetensors'), 'utf8')
  const { label, effect } = parsed(text)
  const digest = label ? digestOf(label) : `sha256:${createHash('sha256').update(text).digest('hex')}`
  return {
    weights: fakeWeights(digest, effect, VERSION_BYTES),
    description: {
      ...{ format: 'peft', method: 'lora', rank: 8, sites: ['layers.0.q_proj'], virtualTokens: 0 },
      ...{ parameters: 128, bytes: VERSION_BYTES, baseModel: null, tokens: null, warnings: [] },
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
