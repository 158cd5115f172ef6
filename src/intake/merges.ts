import type { MergeJob } from '../adapters/merge.ts'
import type { Catalogue } from '../catalogue/catalogue.ts'
import type { VersionReference } from '../catalogue/records.ts'
import { resolveListed } from '../catalogue/resolve.ts'
import type { Version } from '../catalogue/version.ts'
import { TroupeError } from '../core/errors.ts'
import type { AdapterMerger } from '../residency/loader-messages.ts'
import type { LocalBlobs } from '../store/blobs.ts'
import type { Staging } from './staging.ts'

/** Most adapters in one merge. */
export const MAX_MERGED = 16

/** What to merge. Without a version: the newest ready one. */
export interface MergeInput {
  readonly combination: MergeJob['combination']
  readonly adapters: readonly {
    readonly name: string
    readonly version?: VersionReference | undefined
    readonly weight: number
  }[]
  /** Largest size of the result's values. */
  readonly limitBytes: number
}

export interface MergeParts {
  readonly catalogue: Catalogue
  readonly blobs: LocalBlobs
  readonly merge: AdapterMerger
}

interface Source {
  readonly version: Version
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
  const { catalogue, blobs, merge } = parts
  const sources = selectSources(catalogue, adapters, tenant)
  try {
    const folders = await Promise.all(sources.map(({ version }) => blobs.folder(version)))
    await merge({
      combination,
      sources: sources.map(({ version, weight }, index) => {
        return { name: nameOf(version), dir: folders[index]!, digest: version.digest, weight }
      }),
      into: staging.dir,
      limitBytes,
    })
  } catch (error) {
    refuseDeleted(catalogue, sources)
    throw error
  }
  const terms = sources.map(({ version, weight }) => `${nameOf(version)} × ${weight}`)
  return `${combination} of ${terms.join(', ')}`
}

function selectSources(catalogue: Catalogue, adapters: MergeInput['adapters'], tenant: string): readonly Source[] {
  if (adapters.length === 0 || adapters.length > MAX_MERGED) {
    throw refusal(`from 1 to ${MAX_MERGED} adapters are merged, here are ${adapters.length}`)
  }
  return adapters.map(({ weight, ...item }) => {
    const { adapter, version: number } = resolveListed(catalogue, item, tenant)
    if (!Number.isFinite(weight)) throw refusal(`the weight of "${adapter}" must be a finite number`)
    const version = catalogue.state.byNumber(adapter, number)!
    const { format, method } = version
    if (format !== 'peft' || method !== 'lora') {
      const what = format === 'peft' ? `of the method ${method}` : 'saved by AdapterHub'
      throw refusal(`${nameOf(version)} is ${what}: only plain LoRAs saved by PEFT are merged`)
    }
    return { version, weight }
  })
}

/** A merge that failed because a source was deleted while it was read says so. */
function refuseDeleted({ state }: Catalogue, sources: readonly Source[]): void {
  const gone = sources.find(({ version }) => state.byNumber(version.adapter, version.version) === null)
  if (!gone) return
  throw new TroupeError('version_not_found', `${nameOf(gone.version)} was deleted while it was merged`, {
    param: 'adapters',
  })
}

function nameOf({ adapter, version }: Version): string {
  return `${adapter}@v${version}`
}

function refusal(message: string): TroupeError {
  return new TroupeError('invalid_request', `adapters: ${message}`, { param: 'adapters' })
}
