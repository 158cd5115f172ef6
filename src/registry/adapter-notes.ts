import { TroupeError } from '../core/errors.ts'
import { isJsonObject, parseJsonObject } from '../core/json.ts'

/** Short texts that people and tools attach: a stage, a dataset, a commit. */
export type Labels = Readonly<Record<string, string>>

export interface VersionNotes {
  readonly description?: string
  readonly labels?: Labels
  /** What was noticed when the version was taken; nobody's to change. */
  readonly warnings?: readonly string[]
}

/** What people say about an adapter and its versions: the part of them that may change. */
export interface AdapterNotes extends VersionNotes {
  /** The newest ready version stays in memory, as long as it fits. */
  readonly pinned: boolean
  /** By digest; these stand over what came with the upload. */
  readonly versions: Readonly<Record<string, VersionNotes>>
  /** Grows with every change. */
  readonly revision: number
}

export const NO_NOTES: AdapterNotes = { pinned: false, versions: {}, revision: 0 }

const MAX_DESCRIPTION = 4_096
const MAX_LABELS = 32
const MAX_LABEL = 256
const LABEL_KEY = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$/

/** @throws TroupeError `invalid_request` naming the field */
export function checkNotes({ description, labels }: VersionNotes): void {
  if (description !== undefined && description.length > MAX_DESCRIPTION) {
    throw wrong('description', `is longer than ${MAX_DESCRIPTION} characters`)
  }
  const entries = Object.entries(labels ?? {})
  if (entries.length > MAX_LABELS) throw wrong('labels', `has more than ${MAX_LABELS} entries`)
  for (const [key, value] of entries) {
    if (!LABEL_KEY.test(key)) throw wrong(`labels.${key}`, 'is no label: use letters, digits, ".", "_", "/" and "-"')
    if (typeof value !== 'string' || value.length > MAX_LABEL) {
      throw wrong(`labels.${key}`, `must be a text of up to ${MAX_LABEL} characters`)
    }
  }
}

/** Description, labels and warnings of an object; others are not looked at. @throws TroupeError `invalid_request` */
export function readNotes(json: Readonly<Record<string, unknown>>): VersionNotes {
  const { description, labels, warnings } = json
  if (description !== undefined && typeof description !== 'string') throw wrong('description', 'must be a text')
  const isTexts = Array.isArray(warnings) && warnings.every((item) => typeof item === 'string')
  if (warnings !== undefined && !isTexts) throw wrong('warnings', 'must be a list of texts')
  if (labels !== undefined && !isJsonObject(labels)) throw wrong('labels', 'must be an object of texts')
  const notes = {
    ...(description === undefined ? {} : { description }),
    ...(labels === undefined ? {} : { labels: labels as Labels }),
    ...(warnings === undefined ? {} : { warnings }),
  }
  checkNotes(notes)
  return notes
}

/** Reads a notes file. @throws TroupeError `invalid_request` naming the field */
export function parseNotes(text: string): AdapterNotes {
  const json = parseJsonObject(text, 'notes', 'invalid_request')
  const { pinned = false, revision = 1, versions = {} } = json
  if (typeof pinned !== 'boolean') throw wrong('pinned', 'must be true or false')
  if (typeof revision !== 'number' || !Number.isSafeInteger(revision) || revision < 1) {
    throw wrong('revision', 'must be a positive integer')
  }
  if (!isJsonObject(versions)) throw wrong('versions', 'must be an object')
  const byDigest = Object.entries(versions).map(([digest, notes]): [string, VersionNotes] => {
    if (!isJsonObject(notes)) throw wrong(`versions.${digest}`, 'must be an object')
    return [digest, readNotes(notes)]
  })
  return { ...readNotes(json), pinned, versions: Object.fromEntries(byDigest), revision }
}

export function renderNotes(notes: AdapterNotes): string {
  return `${JSON.stringify(notes, null, 2)}\n`
}

function wrong(param: string, what: string): TroupeError {
  return new TroupeError('invalid_request', `${param} ${what}`, { param })
}
