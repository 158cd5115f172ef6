import { createHash, randomUUID } from 'node:crypto'
import { Type } from 'typebox'
import type { Static, TSchema } from 'typebox'
import { TroupeError } from '../core/errors.ts'
import { canonicalJson, parseJsonObject } from '../core/json.ts'
import { Shape } from '../core/shape.ts'

/** What every record says beside what changed. */
const HeadSchema = Type.Object({
  /** Number of the record: 1, 2 … */
  n: Type.Integer({ minimum: 1 }),
  id: Type.String({
    minLength: 1,
    description: 'Tells the writer of a record whose answer got lost that it is its own.',
  }),
  at: Type.String({ description: 'ISO time.' }),
  by: Type.String({ description: 'Tenant or tool that asked for the change.' }),
  server: Type.String({ description: 'Server that wrote it.' }),
  request: Type.Union([Type.String(), Type.Null()], { description: 'Request that asked for it.' }),
  based: Type.Integer({ minimum: 0, description: 'Number of the record that the change was decided on.' }),
  type: Type.String(),
})
const RecordSchema = Type.Object({ ...HeadSchema.properties, data: Type.Unknown(), sum: Type.String() })

export type RecordHead = Readonly<Static<typeof HeadSchema>>

export interface JournalRecord extends RecordHead {
  readonly data: unknown
}

/** Who asks for a change, and in which request. */
export interface Origin {
  readonly by: string
  readonly requestId?: string
}

/** A change to be recorded: one of the types that some book knows. */
export interface Change {
  readonly type: string
  readonly data: unknown
}

/** One type of record: what it holds, when it may be, and what it does. Both functions depend on nothing but the book and their arguments. */
export interface RecordKind<S extends TSchema = TSchema> {
  readonly schema: S
  /** @throws TroupeError why the change cannot be, as things are now */
  check(data: Static<S>, head: RecordHead): void
  /** Changes the book. The record was checked. */
  apply(data: Static<S>, head: RecordHead): void
}

/** A part of what the journal says: the types of records it is made of, and its whole content for snapshots. */
export interface Book {
  readonly name: string
  readonly kinds: Readonly<Record<string, RecordKind>>
  save(): unknown
  /** @throws TroupeError `storage_error` for what was not saved by `save` */
  load(saved: unknown): void
}

/** Gives a record kind the type of its schema. */
export function recordKind<S extends TSchema>(schema: S, kind: Omit<RecordKind<S>, 'schema'>): RecordKind {
  return { schema, ...kind }
}

const DIGITS = 12
const shape = new Shape(RecordSchema, 'record')

/** Key of a record; keys are in the order of the numbers. */
export function recordKey(n: number): string {
  return `journal/${String(n).padStart(DIGITS, '0')}`
}

/** The number in a key of `recordKey`. */
export function recordNumber(key: string): number {
  return Number(key.slice(key.lastIndexOf('/') + 1))
}

export function newRecord(n: number, change: Change, { by, requestId }: Origin, server: string): JournalRecord {
  const request = requestId ?? null
  return { n, id: randomUUID(), at: new Date().toISOString(), by, server, request, based: n - 1, ...change }
}

export function renderRecord(record: JournalRecord): Uint8Array {
  return Buffer.from(`${JSON.stringify({ ...record, sum: sumOf(record) })}\n`)
}

/** Reads what `renderRecord` wrote. @throws TroupeError `storage_error` for what was cut off, altered, or written for another number */
export function parseRecord(bytes: Uint8Array, n: number): JournalRecord {
  const json = parseJsonObject(Buffer.from(bytes).toString(), 'the record', 'storage_error')
  const { sum, ...record } = shape.check(json, 'storage_error')
  if (record.n !== n) throw new TroupeError('storage_error', `the record is number ${record.n}, not ${n}`)
  if (sum !== sumOf(record)) throw new TroupeError('storage_error', 'the record was altered after it was written')
  return record
}

/** So that an altered record is noticed; no protection against somebody who wants to. */
function sumOf(record: JournalRecord): string {
  return createHash('sha256').update(canonicalJson(record)).digest('hex').slice(0, 16)
}
