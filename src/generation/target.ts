import type { Resolution, Target, VersionReference } from '../catalogue/records.ts'
import { viewOf } from '../tenancy/access.ts'
import type { Caller } from '../tenancy/roles.ts'
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
  readonly version?: VersionReference
  readonly scale?: number
}

/** What a request names, pinned to digests now. Throws what the catalogue says about names that cannot be served. */
export function resolveTarget(
  catalogue: GenerationParts['catalogue'],
  caller: Caller,
  named: Pick<Target, 'model' | 'task'>,
  { adapters, stack = false, sticky }: MixWish,
): Resolution {
  const target = { ...named, ...(adapters && { adapters }), ...(stack && { stack }), ...(sticky && { sticky }) }
  return catalogue.resolve(target, viewOf(caller))
}

/** `v3`: how a version is written on the wire. */
export function versionName(version: number): string {
  return `v${version}`
}
