import type { EngineStats } from '../../../core/messages.ts'
import { versionName } from '../../../generation/target.ts'
import type { Resident } from '../../../residency/residency.ts'
import { viewOf } from '../../../tenancy/access.ts'
import type { App } from '../../app.ts'
import type { ServerDeps } from '../../deps.ts'
import { liveSchema } from './schema.ts'
import type { LiveBody } from './schema.ts'

/** Versions listed; more are summed up. */
const MAX_LISTED = 1_000

/** `GET /v1/live` */
export function liveRoutes(app: App, deps: ServerDeps): void {
  const { admission, engine, keyring, server, settings } = deps
  app.get('/v1/live', { schema: liveSchema }, async ({ caller }) => {
    const view = viewOf(caller)
    const { waiting, running } = admission.stats()
    const tenants = [...admission.tenants()]
      .filter(([tenant]) => view === '*' || tenant === view)
      .map(([tenant, counts]) => ({ tenant, ...counts }))
    return {
      server,
      model: engine.info.name,
      max_context: settings.maxContext,
      caller: { tenant: caller.tenant, role: caller.role, open: keyring.open },
      engine: engineBody(await engine.stats()),
      queue: { waiting, running, tenants },
      memory: memoryBody(deps, view),
    }
  })
}

function engineBody(stats: EngineStats): LiveBody['engine'] {
  return {
    running: stats.running,
    queued: stats.queued,
    paused: stats.paused,
    max_batch: stats.maxBatch,
    steps: stats.steps,
    step_seconds: stats.stepSeconds,
    busy_seconds: stats.busySeconds,
    prompt_tokens: stats.promptTokens,
    decoded_tokens: stats.decodeRows + stats.acceptedTokens,
    kv_pages: stats.pages,
    kv_pages_used: stats.pagesUsed,
    kv_pages_cached: stats.pagesCached,
    kv_bytes: stats.kvBytes,
    weight_bytes: stats.weightBytes,
  }
}

function memoryBody({ catalogue, residency }: ServerDeps, view: string): LiveBody['memory'] {
  const residents = residency.residents()
  const listed = residents
    .filter(({ version }) => catalogue.state.isAdapterVisible(version.adapter, view))
    .slice(0, MAX_LISTED)
  const sum = (these: readonly Resident[]): number => these.reduce((total, { bytes }) => total + bytes, 0)
  const { bytes, budgetBytes, hits, loads, evictions } = residency.stats().memory
  return {
    budget_bytes: budgetBytes,
    bytes,
    hits,
    loads,
    evictions,
    versions: listed.map(({ version, bytes: taken, pinned, leases }) => ({
      name: version.adapter,
      version: versionName(version.version),
      digest: version.digest,
      method: version.method,
      bytes: taken,
      pinned,
      leases,
    })),
    others: { versions: residents.length - listed.length, bytes: sum(residents) - sum(listed) },
  }
}
