import type { MergeJob } from '../adapters/merge.ts'
import { TroupeError } from '../core/errors.ts'
import type { Catalogue } from './catalogue.ts'
import type { Changes } from './changes.ts'
import type { AdapterMerger } from './loader-messages.ts'
import { resolveListed } from './resolve.ts'
import type { RegistryStore, Staging } from './store/port.ts'

/** Most adapters in one merge. */
export const MAX_MERGED = 16

/** What to merge. Without a version: the newest ready one. */
export interface MergeInput {
  readonly combination: MergeJob['combination']
  readonly adapters: readonly { readonly name: string; readonly version?: number; readonly weight: number }[]
  /** Largest size of the result's values. */
  readonly limitBytes: number
}

export interface MergeParts {
  readonly store: Pick<RegistryStore, 'versionFolder'>
  readonly catalogue: Catalogue
  readonly changes: Changes
  readonly merge: AdapterMerger
}

interface Source {
  readonly adapter: string
  readonly version: number
  readonly digest: string
  readonly weight: number
}

/**
 * Merges stored versions into a staging folder, off the main thread; what comes of it is no version yet.
 *
 * @param tenant whose names are visible
 * @returns what was merged, for people: `cat of a@v1 × 0.7, b@v3 × 0.5`
 * @throws TroupeError `invalid_request`, `adapter_not_found`, `version_not_found`, `adapter_not_ready` and as `mergeAdapters`
 */
export async function mergeInto(
  parts: MergeParts,
  staging: Staging,
  { combination, adapters, limitBytes }: MergeInput,
  tenant: string,
): Promise<string> {
  const { store, catalogue, merge } = parts
  const sources = selectSources(catalogue, adapters, tenant)
  const job: MergeJob = {
    combination,
    sources: sources.map(({ adapter, version, digest, weight }) => {
      return { name: `${adapter}@v${version}`, dir: store.versionFolder(adapter, digest), digest, weight }
    }),
    into: staging.dir,
    limitBytes,
  }
  try {
    await merge(job)
  } catch (error) {
    await refuseDeleted(parts, sources)
    throw error
  }
  const terms = sources.map(({ adapter, version, weight }) => `${adapter}@v${version} × ${weight}`)
  return `${combination} of ${terms.join(', ')}`
}

function selectSources(catalogue: Catalogue, adapters: MergeInput['adapters'], tenant: string): readonly Source[] {
  if (adapters.length === 0 || adapters.length > MAX_MERGED) {
    throw refusal(`from 1 to ${MAX_MERGED} adapters are merged, here are ${adapters.length}`)
  }
  return adapters.map(({ weight, ...item }) => {
    const { adapter, version, digest } = resolveListed(catalogue, item, tenant)
    if (!Number.isFinite(weight)) throw refusal(`the weight of "${adapter}" must be a finite number`)
    const { format, method } = catalogue.byNumber(adapter, version)!
    if (format !== 'peft' || method !== 'lora') {
      const what = format === 'peft' ? `of the method ${method}` : 'saved by AdapterHub'
      throw refusal(`${adapter}@v${version} is ${what}: only plain LoRAs saved by PEFT are merged`)
    }
    return { adapter, version, digest, weight }
  })
}

/** A merge that failed because a source was deleted while it was read says so. */
async function refuseDeleted({ catalogue, changes }: MergeParts, sources: readonly Source[]): Promise<void> {
  await changes.idle()
  const gone = sources.find(({ adapter, digest }) => catalogue.byDigest(adapter, digest) === null)
  if (!gone) return
  throw new TroupeError('version_not_found', `${gone.adapter}@v${gone.version} was deleted while it was merged`, {
    param: 'adapters',
  })
}

function refusal(message: string): TroupeError {
  return new TroupeError('invalid_request', `adapters: ${message}`, { param: 'adapters' })
}
