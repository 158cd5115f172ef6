import type { VersionNotes } from './adapter-notes.ts'
import type { VersionRecord } from './records.ts'
import { unusableVersion } from './unusable-version.ts'

const MAX_REJECTED = 100
const MAX_DELETED = 100

/** An upload on its way; it ends by `finish` or `reject`. */
export interface PendingUpload {
  validating(): void
  finish(): void
  /** It stays visible with its reason, for a while; nothing tries it again. */
  reject(reason: string): void
}

/** What has a state but no place in the store: uploads in progress, refused ones, and what was deleted lately. Of this process only. */
export class PendingUploads {
  readonly #open = new Set<{ record: VersionRecord }>()
  #rejected: readonly VersionRecord[] = []
  #deleted: readonly VersionRecord[] = []

  begin(adapter: string, by: VersionNotes = {}): PendingUpload {
    const createdAt = new Date().toISOString()
    const blank = { ...unusableVersion(adapter, '', '', createdAt), ...by, source: 'upload' as const, reason: null }
    const entry: { record: VersionRecord } = { record: { ...blank, state: 'uploading' } }
    this.#open.add(entry)
    return {
      validating: () => {
        entry.record = { ...entry.record, state: 'validating' }
      },
      finish: () => {
        this.#open.delete(entry)
      },
      reject: (reason) => {
        if (!this.#open.delete(entry)) return
        this.#rejected = [...this.#rejected, { ...blank, state: 'rejected' as const, reason }].slice(-MAX_REJECTED)
      },
    }
  }

  /** The adapter has a new version, or is gone: what was refused before is of no interest any more. */
  forget(adapter: string): void {
    this.#rejected = this.#rejected.filter((record) => record.adapter !== adapter)
  }

  noteDeleted(versions: readonly VersionRecord[]): void {
    const records = versions.map((record) => ({ ...record, state: 'deleted' as const }))
    this.#deleted = [...this.#deleted, ...records].slice(-MAX_DELETED)
  }

  deleted(adapter: string, version: number): VersionRecord | null {
    return this.#deleted.find((record) => record.adapter === adapter && record.version === version) ?? null
  }

  /** Uploads in progress and refused ones. */
  records(): VersionRecord[] {
    return [...this.#rejected, ...[...this.#open].map(({ record }) => record)]
  }
}
