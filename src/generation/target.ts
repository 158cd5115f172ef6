import type { Resolution, Target, VersionReference } from '../catalogue/records.ts'
import type { ModelInfo } from '../core/model-info.ts'
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

/** The same parts with the text of a mix: its adapters may have tokens of their own. */
export function ofMix<Parts extends Pick<GenerationParts, 'text'>>(parts: Parts, { adapters }: Resolution): Parts {
  return { ...parts, text: parts.text.of(adapters) }
}

/** Ids of a mix's tokens are below this. */
export function vocabularyOf({ vocab }: Pick<ModelInfo, 'vocab'>, { adapters }: Pick<Resolution, 'adapters'>): number {
  return vocab + Math.max(0, ...adapters.map(({ tokens }) => tokens?.rows ?? 0))
}

/** `v3`: how a version is written on the wire. */
export function versionName(version: number): string {
  return `v${version}`
}
