import { TroupeError } from '../core/errors.ts'
import { isJsonObject, parseJsonObject } from '../core/json.ts'
import type { VersionNotes } from './adapter-notes.ts'
import { readNotes } from './adapter-notes.ts'
import type { VersionRecord, VersionSource } from './records.ts'
import { VERSION_SOURCES } from './records.ts'
import { unusableVersion } from './unusable-version.ts'

/** An upload or merge that was looked at and refused. Nothing of it is kept but this. */
export interface Rejection extends VersionNotes {
  readonly adapter: string
  readonly reason: string
  /** ISO time. */
  readonly createdAt: string
  readonly source: VersionSource
}

/** Older ones are forgotten. */
const MAX_REJECTIONS = 100

/** @param rejections oldest first */
export function withRejection(rejections: readonly Rejection[], added: Rejection): readonly Rejection[] {
  return [...rejections, added].slice(-MAX_REJECTIONS)
}

export function withoutRejections(rejections: readonly Rejection[], adapter: string): readonly Rejection[] {
  return rejections.filter((rejection) => rejection.adapter !== adapter)
}

/** As people see it: a version with the number 0. */
export function rejectedVersion({ adapter, reason, createdAt, ...rest }: Rejection): VersionRecord {
  return { ...unusableVersion(adapter, '', reason, createdAt), ...rest }
}

export function renderRejections(rejections: readonly Rejection[]): string {
  return `${JSON.stringify({ rejected: rejections }, null, 2)}\n`
}

/** Reads a document of `renderRejections`. @throws TroupeError `storage_error` naming the field */
export function parseRejections(text: string): readonly Rejection[] {
  const { rejected } = parseJsonObject(text, 'refused uploads', 'storage_error')
  if (!Array.isArray(rejected)) throw wrong('rejected', 'a list')
  return rejected.map((item: unknown): Rejection => {
    if (!isJsonObject(item)) throw wrong('rejected', 'a list of objects')
    const { adapter, reason, createdAt } = item
    if (typeof adapter !== 'string' || typeof reason !== 'string' || typeof createdAt !== 'string') {
      throw wrong('rejected', 'a list with adapter, reason and createdAt in every entry')
    }
    const source = VERSION_SOURCES.find((known) => known === (item.source ?? 'upload'))
    if (source === undefined) throw wrong('source', `one of ${VERSION_SOURCES.join(', ')}`)
    return { adapter, reason, createdAt, source, ...readNotes(item) }
  })
}

function wrong(param: string, expected: string): TroupeError {
  return new TroupeError('storage_error', `refused uploads: "${param}" must be ${expected}`, { param })
}
