import { METHODS } from '../../../core/branch.ts'
import { Type } from 'typebox'
import type { Static } from 'typebox'
import type { AdapterRecord } from '../../../catalogue/records.ts'
import { LabelsSchema, VERSION_SOURCES, VERSION_STATES } from '../../../catalogue/version.ts'
import type { VersionRecord } from '../../../catalogue/version.ts'
import type { FolderReport } from '../../../intake/folder-report.ts'
import { versionName } from '../../../generation/target.ts'
import { SharedWith, Strict } from '../../wire/common.ts'

const Labels = Type.Record(Type.String(), Type.String(), { description: 'Short texts of your own.' })

const VersionProperties = {
  adapter: Type.String(),
  version: Type.String({ description: '`v1`, `v2` …' }),
  digest: Type.String({ description: 'Identity: SHA-256 over normalised config and weights.' }),
  state: Type.Enum([...VERSION_STATES], { description: 'Only `ready` is served.' }),
  reason: Type.Union([Type.String(), Type.Null()], { description: 'Why it is not ready.' }),
  method: Type.Enum([...METHODS]),
  format: Type.Enum(['peft', 'adapterhub', 'mlx']),
  rank: Type.Integer({ description: 'Largest rank of any site; 0 where there are none.' }),
  sites: Type.Array(Type.String()),
  tokens: Type.Union(
    [
      Strict({
        rows: Type.Integer({ description: 'From the base model’s vocabulary on, with rows of their own.' }),
        added: Type.Array(Strict({ id: Type.Integer(), content: Type.String(), special: Type.Boolean() })),
        ends: Type.Array(Type.Integer(), { description: 'What ends its answers besides the base model’s.' }),
      }),
      Type.Null(),
    ],
    { description: 'Tokens of its own, by its rows and its tokenizer; null = those of the base model.' },
  ),
  virtual_tokens: Type.Integer({ description: 'Tokens of the context that it takes before every prompt.' }),
  bytes: Type.Integer({ description: 'In memory.' }),
  device_bytes: Type.Integer({ description: 'In the engine’s memory.' }),
  parameters: Type.Integer(),
  probe: Type.Union([Strict({ max_difference: Type.Number(), kl: Type.Number() }), Type.Null()], {
    description: 'How far its answers are from the base model’s on the probe prompt; KL divergence in nats.',
  }),
  source: Type.Enum([...VERSION_SOURCES], {
    description: 'Sent, put into the store, merged from versions, or fetched from a `source`.',
  }),
  created_at: Type.String(),
  description: Type.String(),
  labels: Labels,
  warnings: Type.Array(Type.String(), { description: 'What was noticed when it was taken.' }),
}

/** One schema per description it is used under. */
export function VersionSchema(description = 'One version.') {
  return Strict(VersionProperties, { title: 'AdapterVersion', description })
}

/** What was made of the files of an upload. */
const ReportSchema = Strict(
  {
    format: Type.Enum(['peft', 'adapterhub', 'mlx']),
    took: Type.Array(Strict({ file: Type.String(), bytes: Type.Integer() })),
    ignored: Type.Array(Strict({ file: Type.String(), reason: Type.String() }), {
      description: 'What else came; a folder stands for all its files.',
    }),
    warnings: Type.Array(Type.String()),
  },
  { title: 'FolderReport', description: 'Which files were taken, which were not, and why.' },
)

/** A version as the answer to its upload. */
export function UploadedSchema(description: string) {
  return Strict(
    {
      ...VersionProperties,
      report: Type.Union([ReportSchema, Type.Null()]),
      activated: Type.Union([Strict({ task: Type.String(), revision: Type.Integer() }), Type.Null()], {
        description: 'The task that serves it now.',
      }),
    },
    { title: 'UploadedVersion', description },
  )
}

/** A report as it is written on the wire, with what was noticed while the files were read. */
export function reportBody(
  { format, took, ignored }: FolderReport,
  warnings: readonly string[],
): Static<typeof ReportSchema> {
  return { format, took: [...took], ignored: [...ignored], warnings: [...warnings] }
}

/** One version with everything that is known of it. */
export const VersionDetailSchema = Strict(
  {
    ...VersionProperties,
    proof: Type.Union(
      [
        Strict({
          parameters: Type.Integer({ description: 'Values in the files; all of them act.' }),
          sites: Type.Array(
            Strict({
              site: Type.String(),
              norm: Type.Number({ description: 'Frobenius norm of what is added to the linear map there.' }),
            }),
          ),
          merged: Type.Union(
            [
              Strict({
                deviation: Type.Union([Type.Number(), Type.Null()], {
                  description: 'How far its effect is from that of merged weights, as a share of it.',
                }),
                tolerance: Type.Union([Type.Number(), Type.Null()], { description: 'How far rounding may take it.' }),
                reason: Type.Union([Type.String(), Type.Null()], { description: 'Why nothing was compared.' }),
              }),
              Type.Null(),
            ],
            {
              description:
                'The comparison with weights it was merged into; null for versions from before there was one.',
            },
          ),
        }),
        Type.Null(),
      ],
      { description: 'What was found when it was checked; null for what never was ready.' },
    ),
  },
  { title: 'AdapterVersionDetail', description: 'One version with the proof that it acts.' },
)

export const AdapterSchema = Strict(
  {
    name: Type.String(),
    created_at: Type.String(),
    description: Type.String(),
    labels: Labels,
    pinned: Type.Boolean({ description: 'The newest ready version is kept in memory.' }),
    shared_with: SharedWith,
    versions: Type.Array(VersionSchema()),
  },
  { title: 'Adapter', description: 'An adapter with all its versions, oldest first.' },
)

export const NotesFields = {
  description: Type.Optional(Type.String({ maxLength: 4096 })),
  labels: Type.Optional({ ...LabelsSchema, description: 'Replaces all labels there are.' }),
}

export const AdapterPatch = Strict(
  {
    ...NotesFields,
    pinned: Type.Optional(Type.Boolean({ description: 'Keep the newest ready version in memory.' })),
    shared_with: Type.Optional(SharedWith),
  },
  {
    title: 'AdapterPatch',
    description: 'Fields left out stay as they are.',
    examples: [{ labels: { stage: 'production' }, pinned: true }],
  },
)

export const VersionPatch = Strict(NotesFields, {
  title: 'VersionPatch',
  examples: [{ description: 'Trained on the tickets of May.' }],
  description: 'Fields left out stay as they are. What a version does never changes.',
})

export const DrainingSchema = Strict(
  {
    status: Type.Literal('draining'),
    deadline: Type.String({ description: 'Requests still running then end with `version_deleted`.' }),
    holders: Type.Integer({ description: 'Requests that use it now.' }),
  },
  { title: 'Draining', description: 'Requests in flight still use it; it goes when the last one has ended.' },
)

export type VersionBody = Static<ReturnType<typeof VersionSchema>>
export type AdapterBody = Static<typeof AdapterSchema>

/** A version as it is written on the wire. */
export function versionBody(record: VersionRecord): VersionBody {
  const { adapter, version, digest, state, reason, method, format, rank, sites, bytes, parameters, probe } = record
  return {
    adapter,
    version: versionName(version),
    digest,
    state,
    reason,
    method,
    format,
    rank,
    sites: [...sites],
    tokens: tokensBody(record.tokens),
    virtual_tokens: record.virtualTokens,
    bytes,
    device_bytes: record.deviceBytes,
    parameters,
    probe: probe && { max_difference: probe.maxDifference, kl: probe.kl },
    source: record.source,
    created_at: record.createdAt,
    description: record.description ?? '',
    labels: { ...record.labels },
    warnings: [...(record.warnings ?? [])],
  }
}

function tokensBody(tokens: VersionRecord['tokens']): VersionBody['tokens'] {
  if (tokens === undefined) return null
  const { rows, added, ends } = tokens
  return { rows, added: added.map(({ id, content, special }) => ({ id, content, special })), ends: [...ends] }
}

/** An adapter as it is written on the wire. */
export function adapterBody(record: AdapterRecord): AdapterBody {
  return {
    name: record.name,
    created_at: record.createdAt,
    description: record.description ?? '',
    labels: { ...record.labels },
    pinned: record.pinned ?? false,
    shared_with: [...(record.sharedWith ?? [])],
    versions: record.versions.map(versionBody),
  }
}
