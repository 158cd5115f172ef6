import type { Method } from '../core/branch.ts'
import type { Tier } from '../core/generation.ts'
import type { Labels } from './adapter-notes.ts'

/**
 * A version is served only in state `ready`. `rejected` stays visible with its reason and is never tried again; `failed` was ready, but its stored
 * bytes could not be loaded, again and again. Number 0 = it never was a version.
 */
export const VERSION_STATES = ['uploading', 'validating', 'ready', 'rejected', 'failed', 'draining', 'deleted'] as const
export type VersionState = (typeof VERSION_STATES)[number]

/** How its bytes came: sent, put into the store, or merged from stored versions. */
export const VERSION_SOURCES = ['upload', 'folder', 'merge'] as const
export type VersionSource = (typeof VERSION_SOURCES)[number]

/** Did the adapter act? Largest difference of log-probabilities from the base on the probe prompt, and mean KL divergence in nats. */
export interface ProbeResult {
  readonly maxDifference: number
  readonly kl: number
}

/**
 * How far the adapter's effect on the probe's log-probabilities is from that of weights which it was merged into, and how far it could be by rounding:
 * mean absolute differences as shares of the mean effect. Where nothing was compared both are null and there is a reason.
 */
export interface MergedResult {
  readonly deviation: number | null
  readonly tolerance: number | null
  readonly reason: string | null
}

/** Immutable bytes of one adapter and what was found in them. */
export interface VersionRecord {
  readonly adapter: string
  /** 1, 2 …: shown to people as `v1`, `v2`. */
  readonly version: number
  /** `sha256:<hex>` over the normalised config and the weights. */
  readonly digest: string
  readonly state: VersionState
  readonly reason: string | null
  readonly createdAt: string
  readonly source: VersionSource
  readonly format: 'peft' | 'adapterhub'
  readonly method: Method
  /** Largest rank of any site; 0 where there are gains or virtual tokens only. */
  readonly rank: number
  /** Names as of `siteName`. */
  readonly sites: readonly string[]
  /** How many stand before every prompt. */
  readonly virtualTokens: number
  readonly parameters: number
  /** Bytes in the memory tier. */
  readonly bytes: number
  /** Bytes in the bank: there every layer has the largest rank of any layer, and every rank a bias. */
  readonly deviceBytes: number
  readonly probe: ProbeResult | null
  readonly description?: string
  readonly labels?: Labels
  /** What was noticed when it was taken. */
  readonly warnings?: readonly string[]
}

export interface AdapterRecord {
  readonly name: string
  readonly description?: string
  readonly labels?: Labels
  /** Its newest ready version is kept in memory. */
  readonly pinned?: boolean
  readonly createdAt: string
  readonly versions: readonly VersionRecord[]
}

/** Where a task sends its requests; several routes share them by weight. Always pinned to one version. */
export interface Route {
  readonly adapter: string
  readonly version: number
  readonly weight: number
}

/** A version that runs a sample of a task's requests again, after they were answered, only to be compared. */
export interface ShadowRoute {
  readonly adapter: string
  readonly version: number
  /** Share of the requests, above 0 and up to 1. */
  readonly sample: number
}

/** Fields of the HTTP generation body a task may preset; names as on the wire. */
export interface TaskDefaults {
  readonly max_tokens?: number
  readonly temperature?: number
  readonly top_k?: number
  readonly top_p?: number
  readonly min_p?: number
  readonly repetition_penalty?: number
  readonly presence_penalty?: number
  readonly frequency_penalty?: number
  readonly seed?: number
  readonly stop?: readonly string[]
}

export interface Activation {
  /** Revision of the task that ended these routes; grows from entry to entry. */
  readonly revision: number
  readonly at: string
  readonly by: string
  readonly routes: readonly Route[]
}

export interface TaskRecord {
  readonly name: string
  readonly description: string
  readonly routes: readonly Route[]
  readonly shadow: ShadowRoute | null
  /** Its versions stay in memory, as long as they fit. */
  readonly pinned: boolean
  /** Text around the input, with `{input}` where it goes; null = the input as it is. */
  readonly prompt: string | null
  /** System message put before `messages`; null = none. */
  readonly system: string | null
  readonly defaults: TaskDefaults
  /** Former routes, oldest first; the last one is what `rollback` returns to. Bounded. */
  readonly history: readonly Activation[]
  readonly revision: number
  readonly createdAt: string
  readonly updatedAt: string
}

/** What a request names. Exactly one of `model` and `task`; `adapters` adds to it or stands for it. */
export interface Target {
  readonly model?: string
  readonly task?: string
  readonly adapters?: readonly { readonly name: string; readonly version?: number; readonly scale?: number }[]
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
  readonly loadMs: number
  /** Aborts, with a TroupeError `version_deleted`, when a version of the mix was deleted and the time to finish is over. */
  readonly signal: AbortSignal
  /** Idempotent. */
  release(): void
}
