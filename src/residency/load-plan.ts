import type { Catalogue } from '../catalogue/catalogue.ts'
import type { VersionReference } from '../catalogue/records.ts'
import { resolveListed } from '../catalogue/resolve.ts'
import type { Version } from '../catalogue/version.ts'
import type { BankResidents } from '../core/messages.ts'
import type { Tier } from '../core/generation.ts'
import type { AdapterHost } from '../engine/engine.ts'
import type { EvictionPlan } from './eviction-plan.ts'
import { planEviction } from './eviction-plan.ts'
import type { LoadRate } from './load-rate.ts'
import type { MemoryTier } from './memory-tier.ts'

/** Assumed before the bank took anything in: a copy within memory. */
const FIRST_GUESS_BANK_BYTES_PER_MS = 500_000

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
  /** Null where the engine does not say. */
  readonly device: PlannedTier | null
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
  const bank = (await host.residents?.()) ?? null
  const memory = tier.content()
  const hot = new Set(bank?.residents.map(({ digest }) => digest))
  const warm = new Set(memory.residents.map(({ digest }) => digest))

  const adapters = wanted.map(({ adapter, version, digest, bytes, deviceBytes }) => {
    const where: Tier = hot.has(digest) ? 'hot' : warm.has(digest) ? 'warm' : 'cold'
    const fromStore = warm.has(digest) ? 0 : rate.estimate(bytes)
    const intoBank = hot.has(digest) ? 0 : deviceBytes / bankRate(bank)
    return { adapter, version, digest, bytes, deviceBytes, tier: where, loadMs: fromStore + intoBank }
  })
  const named = ({ evicts, ...plan }: EvictionPlan): PlannedTier => ({
    ...plan,
    evicts: evicts.flatMap((digest) => {
      const found = versionOf(digest)
      return found ? [{ adapter: found.adapter, version: found.version }] : []
    }),
  })
  const onDevice = wanted.map(({ digest, deviceBytes }) => ({ digest, bytes: deviceBytes }))
  return {
    adapters,
    memory: named(planEviction(memory, wanted)),
    device: bank && named(planEviction(bank, onDevice)),
    loadMs: adapters.reduce((sum, { loadMs }) => sum + loadMs, 0),
  }
}

function bankRate(bank: BankResidents | null): number {
  if (!bank || bank.loadMs <= 0 || bank.loadedBytes === 0) return FIRST_GUESS_BANK_BYTES_PER_MS
  return bank.loadedBytes / bank.loadMs
}
