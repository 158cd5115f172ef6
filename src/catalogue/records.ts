import type { Tier } from '../core/generation.ts'
import type { OwnTokens } from '../core/own-tokens.ts'
import type { TaskRecord } from './task.ts'
import type { Notes, VersionRecord } from './version.ts'

/** An adapter as people see it. */
export interface AdapterRecord extends Notes {
  readonly name: string
  /** Its newest ready version is kept in memory. */
  readonly pinned?: boolean
  /** Tenants beside the owner that see and use it, as far as the viewer may know; `*` = all. */
  readonly sharedWith?: readonly string[]
  readonly createdAt: string
  readonly versions: readonly VersionRecord[]
}

/** A version as clients name it: `v3`, `3`, `latest`, or `sha256:` with at least 12 digits. */
export type VersionReference = string | number

/** What a request names. Exactly one of `model` and `task`; `adapters` adds to it or stands for it. */
export interface Target {
  readonly model?: string
  readonly task?: string
  readonly adapters?: readonly { readonly name: string; readonly version?: VersionReference; readonly scale?: number }[]
  /** Bottleneck modules of the mix follow each other instead of being added. */
  readonly stack?: boolean
  /** Requests with the same key take the same route of a task, as long as its weights stay. */
  readonly sticky?: string
}

/** One pinned member of a request's mix. */
export interface ResolvedAdapter {
  readonly adapter: string
  readonly version: number
  readonly digest: string
  readonly scale: number
  /** Tokens of the context that it takes. */
  readonly virtualTokens: number
  /** Tokens of its own; absent = none. */
  readonly tokens?: OwnTokens
}

/** A request's target, resolved once and never again. */
export interface Resolution {
  readonly task: TaskRecord | null
  readonly adapters: readonly ResolvedAdapter[]
  /** As in `Target`. */
  readonly stack: boolean
  /** What the answer is to be compared with: the request is in the sample of its task's shadow. */
  readonly shadow: ResolvedAdapter | null
}

/** A request's hold on its mix: nothing in it is evicted, swapped or freed until `release`. */
export interface Lease {
  readonly resolution: Resolution
  /** Tier each version was found in on the host side: `warm` (memory) or `cold` (store); the engine knows which were `hot`. */
  readonly tiers: ReadonlyMap<string, Tier>
  /** Waiting until others released memory. */
  readonly waitMs: number
  /** Loading from the store. */
  readonly loadMs: number
  /** Aborts, with a TroupeError `version_deleted`, when a version of the mix was deleted and the time to finish is over. */
  readonly signal: AbortSignal
  /** Idempotent. */
  release(): void
}
