import type { Catalogue } from '../catalogue/catalogue.ts'
import type { VersionReference } from '../catalogue/records.ts'
import { resolveListed } from '../catalogue/resolve.ts'
import type { Version } from '../catalogue/version.ts'
import type { DeviceResidents } from '../core/messages.ts'
import type { Tier } from '../core/generation.ts'
import type { AdapterHost } from '../engine/engine.ts'
import type { EvictionPlan } from './eviction-plan.ts'
import { planEviction } from './eviction-plan.ts'
import type { LoadRate } from './load-rate.ts'
import type { MemoryTier } from './memory-tier.ts'

/** Assumed before the engine took anything in: a copy within memory. */
const FIRST_GUESS_BYTES_PER_MS = 500_000

/** A version by its name. */
export type NamedVersion = Pick<Version, 'adapter' | 'version'>

export interface PlannedTier extends Omit<EvictionPlan, 'evicts'> {
  readonly evicts: readonly NamedVersion[]
}

export interface LoadPlan {
  readonly adapters: readonly (NamedVersion & {
    readonly digest: string
    readonly bytes: number
    readonly deviceBytes: number
    /** Where it is now. */
    readonly tier: Tier
    /** Estimate for a first request, in milliseconds. */
    readonly loadMs: number
  })[]
  readonly memory: PlannedTier
  /** Loads a first request for all of them would wait for, in milliseconds. */
  readonly loadMs: number
}

export interface LoadPlanParts {
  readonly catalogue: Catalogue
  readonly tier: MemoryTier
  readonly host: Pick<AdapterHost, 'residents'>
  readonly rate: LoadRate
  /** Stored and draining versions. */
  readonly versionOf: (digest: string) => Version | null
}

/**
 * What it would take to have these versions ready at once: where they are, what would leave, what a first request would pay.
 * @throws TroupeError as for a request that names them
 */
export async function planLoad(
  { catalogue, tier, host, rate, versionOf }: LoadPlanParts,
  items: readonly { readonly name: string; readonly version?: VersionReference | undefined }[],
  tenant: string,
): Promise<LoadPlan> {
  const digests = [...new Set(items.map((item) => resolveListed(catalogue, item, tenant).digest))]
  const wanted = digests.flatMap((digest) => versionOf(digest) ?? [])
  const device = (await host.residents?.()) ?? null
  const memory = tier.content()
  const hot = new Set(memory.residents.map(({ digest }) => digest))

  const adapters = wanted.map(({ adapter, version, digest, bytes, deviceBytes }) => {
    const where: Tier = hot.has(digest) ? 'hot' : 'cold'
    const loadMs = hot.has(digest) ? 0 : rate.estimate(bytes) + deviceBytes / deviceRate(device)
    return { adapter, version, digest, bytes, deviceBytes, tier: where, loadMs }
  })
  const named = ({ evicts, ...plan }: EvictionPlan): PlannedTier => ({
    ...plan,
    evicts: evicts.flatMap((digest) => {
      const found = versionOf(digest)
      return found ? [{ adapter: found.adapter, version: found.version }] : []
    }),
  })
  const inMemory = wanted.map(({ digest, deviceBytes }) => ({ digest, bytes: deviceBytes }))
  return {
    adapters,
    memory: named(planEviction(memory, inMemory)),
    loadMs: adapters.reduce((sum, { loadMs }) => sum + loadMs, 0),
  }
}

function deviceRate(device: DeviceResidents | null): number {
  if (!device || device.loadMs <= 0 || device.loadedBytes === 0) return FIRST_GUESS_BYTES_PER_MS
  return device.loadedBytes / device.loadMs
}
