import type { Catalogue } from './catalogue.ts'
import type { Draining } from './draining.ts'
import type { DroppedFolders } from './dropped-folders.ts'
import type { LoadFailures } from './load-failures.ts'
import { canSee } from './names.ts'
import type { NotesBook } from './notes-book.ts'
import { versionNotes } from './notes-book.ts'
import type { PendingUploads } from './pending-uploads.ts'
import type { AdapterRecord, VersionRecord } from './records.ts'
import type { StoreFollower } from './store-follower.ts'
import { unusableVersion } from './unusable-version.ts'

export interface AdapterViewParts {
  readonly catalogue: Catalogue
  readonly draining: Draining
  readonly dropped: DroppedFolders
  readonly follower: StoreFollower
  readonly notes: NotesBook
  readonly uploads: PendingUploads
  readonly failures: LoadFailures
}

/** Which part of a listing. */
export interface PageOptions {
  /** Only names that begin with this. */
  readonly prefix?: string
  /** Only names after this one. */
  readonly after?: string
  readonly limit?: number
}

export interface AdapterPage {
  readonly records: AdapterRecord[]
  /** `after` of the next page; null on the last one. */
  readonly next: string | null
}

/** By number; what never became a version has none, and is ordered by time. */
function inOrder(a: VersionRecord, b: VersionRecord): number {
  return a.version - b.version || (a.createdAt < b.createdAt ? -1 : a.createdAt > b.createdAt ? 1 : 0)
}

/** Adapters as people see them: what is served, what is on its way in or out, and what was refused. */
export class AdapterView {
  readonly #parts: AdapterViewParts

  constructor(parts: AdapterViewParts) {
    this.#parts = parts
  }

  get(name: string): AdapterRecord | null {
    return this.#record(name, this.unserved().get(name) ?? [])
  }

  /** What the tenant may see, by name. */
  list(tenant: string): AdapterRecord[] {
    return this.page(tenant, {}).records
  }

  /** A part of what the tenant may see, by name. Records are made for that part only. */
  page(tenant: string, { prefix = '', after = '', limit = Infinity }: PageOptions): AdapterPage {
    const unserved = this.unserved()
    const names: string[] = []
    const consider = (name: string): void => {
      if (name > after && name.startsWith(prefix) && canSee(name, tenant)) names.push(name)
    }
    for (const name of this.#parts.catalogue.names()) consider(name)
    for (const name of unserved.keys()) if (!this.#parts.catalogue.has(name)) consider(name)
    names.sort()
    const records = names.slice(0, limit).flatMap((name) => this.#record(name, unserved.get(name) ?? []) ?? [])
    return { records, next: names.length > limit ? (names[limit - 1] ?? null) : null }
  }

  /** Uploads, draining versions, refused folders and damaged versions, by adapter. */
  unserved(): Map<string, VersionRecord[]> {
    const { dropped, draining, uploads, follower } = this.#parts
    const damaged = follower.damaged.flatMap(({ kind, name, digest, path, message }) => {
      return kind === 'version'
        ? [unusableVersion(name, digest ?? '', `${path}: ${message}`, new Date(0).toISOString())]
        : []
    })
    const byAdapter = new Map<string, VersionRecord[]>()
    for (const record of [...dropped.rejected(), ...damaged, ...draining.records(), ...uploads.records()]) {
      byAdapter.set(record.adapter, [...(byAdapter.get(record.adapter) ?? []), record])
    }
    return byAdapter
  }

  #record(name: string, unserved: readonly VersionRecord[]): AdapterRecord | null {
    const { catalogue, notes } = this.#parts
    const served = catalogue.get(name)
    if (!served && unserved.length === 0) return null
    const { description, labels, pinned, versions: noted } = notes.get(name)
    const own = (served?.versions ?? []).map((version) => this.#asItIs(version, noted[version.digest]))
    const versions = [...own, ...unserved].sort(inOrder)
    const createdAt = served?.createdAt ?? versions.map((version) => version.createdAt).sort()[0] ?? ''
    return { name, createdAt, ...versionNotes({}, { description, labels }), pinned, versions }
  }

  #asItIs(version: VersionRecord, noted: Parameters<typeof versionNotes>[1]): VersionRecord {
    const reason = this.#parts.failures.finalReason(version.digest)
    if (reason === null && noted === undefined) return version
    return {
      ...version,
      ...versionNotes(version, noted),
      ...(reason === null ? {} : { state: 'failed' as const, reason }),
    }
  }
}
