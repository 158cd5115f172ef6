import { writeFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { TroupeError } from '../core/errors.ts'
import type { ModelInfo } from '../core/model-info.ts'
import { createLogger } from '../telemetry/log.ts'
import { Metrics } from '../telemetry/metrics.ts'
import { Admission } from '../tenancy/admission.ts'
import { AdapterSources } from '../intake/sources.ts'
import { Keyring } from '../tenancy/keys.ts'
import { buildApp } from './app.ts'
import type { ServerDeps } from './deps.ts'
import { openAiReference } from './openai-reference.ts'
import { errorReference } from './error-reference.ts'
import { openapiYaml } from './docs.ts'

/** The files this writes, relative to the repository. */
const OPENAPI_FILE = 'openapi.yaml'
const ERRORS_FILE = 'docs/errors.md'
const FIELDS_FILE = 'docs/openai.md'

/** The API's description as YAML, made from the routes alone: nothing is served. */
export async function describeApi(): Promise<string> {
  const app = await buildApp(nothingToServe())
  await app.ready()
  const yaml = openapiYaml(app)
  await app.close()
  return yaml
}

/** The routes are only looked at: whatever they would call says so. */
function nothingToServe(): ServerDeps {
  const absent = new Proxy({} as { info: ModelInfo }, {
    get: (_target, name) => {
      if (name === 'info') return { name: '' }
      throw new TroupeError('internal', `nothing is served here: ${String(name)}`)
    },
  })
  return {
    engine: absent as unknown as ServerDeps['engine'],
    catalogue: absent as unknown as ServerDeps['catalogue'],
    changes: absent as unknown as ServerDeps['changes'],
    evaluation: Object.fromEntries(
      ['evaluations', 'journal', 'store', 'leases'].map((name) => [name, absent]),
    ) as unknown as ServerDeps['evaluation'],
    residency: absent as unknown as ServerDeps['residency'],
    intake: absent as unknown as ServerDeps['intake'],
    sources: new AdapterSources([]),
    server: 'none',
    text: absent as unknown as ServerDeps['text'],
    grammars: absent as unknown as ServerDeps['grammars'],
    keyring: new Keyring(),
    tenants: absent as unknown as ServerDeps['tenants'],
    tenantChanges: absent as unknown as ServerDeps['tenantChanges'],
    admission: new Admission({ places: 1, maxWaiting: 0, maxRequestsPerTenant: null }),
    metrics: new Metrics({ process: false }),
    log: createLogger('silent'),
    modelDefaults: {},
    settings: { maxContext: 1, bodyLimitBytes: 1024, uploadLimitBytes: 1024, logPrompts: false, strictRequests: false },
    readiness: async () => ({ reasons: [], degraded: [] }),
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  writeFileSync(OPENAPI_FILE, await describeApi())
  writeFileSync(ERRORS_FILE, errorReference())
  writeFileSync(FIELDS_FILE, openAiReference())
}
