import { Type } from 'typebox'
import type { Static } from 'typebox'
import { METHODS } from '../core/branch.ts'
import type { DeepReadonly } from '../core/readonly.ts'

/**
 * A version is served only in state `ready`. `rejected` stays visible with its reason and is never tried again; `failed` was ready, but its stored
 * bytes could not be loaded, again and again. Number 0 = it never was a version.
 */
export const VERSION_STATES = ['uploading', 'validating', 'ready', 'rejected', 'failed', 'draining', 'deleted'] as const
export type VersionState = (typeof VERSION_STATES)[number]

/** How its bytes came: sent, put into the inbox, merged from stored versions, or fetched from where a request said. */
export const VERSION_SOURCES = ['upload', 'folder', 'merge', 'reference'] as const
export type VersionSource = (typeof VERSION_SOURCES)[number]

/** Short texts that people and tools attach: a stage, a dataset, a commit. */
export const LabelsSchema = Type.Record(
  Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$' }),
  Type.String({ maxLength: 256 }),
  { maxProperties: 32, additionalProperties: false },
)

/** What people say about an adapter or a version: the part of it that may change. */
export const NotesSchema = Type.Object({
  description: Type.Optional(Type.String({ maxLength: 4_096 })),
  labels: Type.Optional(LabelsSchema),
})
export type Notes = DeepReadonly<Static<typeof NotesSchema>>

const Count = Type.Integer({ minimum: 0 })

const Flag = Type.Boolean()
const TokensSchema = Type.Object({
  rows: Count,
  added: Type.Array(
    Type.Object({
      ...{ id: Count, content: Type.String(), special: Flag, singleWord: Flag },
      ...{ lstrip: Flag, rstrip: Flag, normalized: Flag },
    }),
  ),
  ends: Type.Array(Count),
})

/** Immutable bytes of one adapter, what was found in them, and where they lie. */
export const VersionSchema = Type.Object({
  adapter: Type.String(),
  /** 1, 2 …: shown to people as `v1`, `v2`. */
  version: Type.Integer({ minimum: 1 }),
  /** `sha256:<hex>` over the normalised config and the weights. */
  digest: Type.String({ pattern: '^sha256:[0-9a-f]{64}$' }),
  /** Which files of this digest, see `BlobId`. */
  blob: Type.String({ pattern: '^[0-9a-z]+-[0-9a-z]+$' }),
  createdAt: Type.String(),
  /** The tenant that brought it. */
  createdBy: Type.String(),
  source: Type.Enum([...VERSION_SOURCES]),
  format: Type.Enum(['peft', 'adapterhub', 'mlx']),
  method: Type.Enum([...METHODS]),
  /** Largest rank of any site; 0 where there are gains or virtual tokens only. */
  rank: Count,
  /** Names as of `siteName`. */
  sites: Type.Array(Type.String()),
  /** How many stand before every prompt. */
  virtualTokens: Count,
  /** Tokens of its own, see `OwnTokens`; absent = none. */
  tokens: Type.Optional(TokensSchema),
  parameters: Count,
  /** Bytes in the memory tier. */
  bytes: Count,
  /** Bytes in the memory of the engine's device. */
  deviceBytes: Count,
  /** Did the adapter act? Largest difference of log-probabilities from the base on the probe prompt, and mean KL divergence in nats. */
  probe: Type.Union([Type.Object({ maxDifference: Type.Number(), kl: Type.Number() }), Type.Null()]),
  /** What was noticed when it was taken. */
  warnings: Type.Optional(Type.Array(Type.String())),
  /** The base model it was validated and probed with. */
  base: Type.Object({ name: Type.String(), fingerprint: Type.String() }),
  ...NotesSchema.properties,
})
export type Version = DeepReadonly<Static<typeof VersionSchema>>
export type ProbeResult = NonNullable<Version['probe']>

/** A version as people see it, also one that never was or no longer is one. */
export interface VersionRecord extends Version {
  readonly state: VersionState
  readonly reason: string | null
}

/** An upload, merge or folder that was looked at and refused. Nothing of it is kept but this. */
export const RefusalSchema = Type.Object({
  adapter: Type.String(),
  reason: Type.String(),
  /** ISO time. */
  createdAt: Type.String(),
  source: Type.Enum([...VERSION_SOURCES]),
  ...NotesSchema.properties,
})
export type Refusal = DeepReadonly<Static<typeof RefusalSchema>>

/** A record for files that never became a version: number 0, nothing known but the reason. */
export function refusedVersion({ adapter, reason, createdAt, source, ...notes }: Refusal): VersionRecord {
  return {
    adapter,
    version: 0,
    digest: '',
    blob: '',
    state: 'rejected',
    reason,
    createdAt,
    createdBy: '',
    source,
    format: 'peft',
    method: 'lora',
    rank: 0,
    sites: [],
    virtualTokens: 0,
    parameters: 0,
    bytes: 0,
    deviceBytes: 0,
    probe: null,
    base: { name: '', fingerprint: '' },
    ...notes,
  }
}
