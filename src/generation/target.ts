import { TroupeError } from '../core/errors.ts'
import type { AdapterRecord, Resolution, Target } from '../registry/records.ts'
import { viewOf } from '../tenancy/access.ts'
import type { Caller } from '../tenancy/keys.ts'
import type { GenerationParts } from './ports.ts'

/** What a request says about the weights to run with, besides a name. */
export interface MixWish {
  /** Instead of or besides what is named. */
  readonly adapters?: readonly MixMember[] | null
  /** Bottleneck modules follow each other instead of being added. */
  readonly stack?: boolean
  /** Requests with the same key take the same of a task's routes. */
  readonly sticky?: string | null
}

export interface MixMember {
  readonly name: string
  /** As `versionNumber` reads it. */
  readonly version?: string | number
  readonly scale?: number
}

/** What a request names, pinned to digests now. Throws what the registry says about names that cannot be served. */
export function resolveTarget(
  registry: GenerationParts['registry'],
  caller: Caller,
  named: Pick<Target, 'model' | 'task'>,
  { adapters, stack = false, sticky }: MixWish,
): Resolution {
  const view = viewOf(caller)
  const mix = adapters?.map(({ name, version, scale }) => ({
    name,
    ...(version === undefined ? {} : { version: versionNumber(registry.getAdapter(name, view), version) }),
    ...(scale === undefined ? {} : { scale }),
  }))
  const target = { ...named, ...(mix && { adapters: mix }), ...(stack && { stack }), ...(sticky && { sticky }) }
  return registry.resolve(target, view)
}

/** The number of the version a client means by `"v3"`, `"3"`, `3` or (the beginning of) a digest. Throws `version_not_found`. */
export function versionNumber(adapter: AdapterRecord, ref: string | number): number {
  const found =
    typeof ref === 'string' && ref.startsWith('sha256:')
      ? adapter.versions.filter((version) => version.digest.startsWith(ref))
      : adapter.versions.filter((version) => version.version === Number(String(ref).replace(/^v/, '')))
  const [version, second] = found
  if (version && !second) return version.version
  const known = adapter.versions.map((version) => `v${version.version}`).join(', ') || 'none'
  throw new TroupeError(
    'version_not_found',
    second
      ? `the digest ${ref} fits several versions of ${adapter.name}: write more of it`
      : `adapter \`${adapter.name}\` has no version ${typeof ref === 'number' ? `v${ref}` : ref}; it has: ${known}`,
    { param: 'version' },
  )
}

/** `v3`: how a version is written on the wire. */
export function versionName(version: number): string {
  return `v${version}`
}
