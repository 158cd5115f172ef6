import type { VersionNotes } from './adapter-notes.ts'
import type { VersionRecord, VersionSource } from './records.ts'
import type { Changes } from './changes.ts'
import type { Log } from './log.ts'
import type { Rejection } from './rejections.ts'
import { rejectedVersion, withoutRejections, withRejection } from './rejections.ts'
import type { RegistryStore } from './store/port.ts'

const MAX_DELETED = 100

/** An upload or merge on its way; it ends by `finish` or `reject`. */
export interface PendingUpload {
  validating(): void
  finish(): void
  /** It stays visible with its reason, also after a restart; nothing tries it again. */
  reject(reason: string): Promise<void>
}

export interface PendingUploadsParts {
  readonly store: Pick<RegistryStore, 'addRejection' | 'clearRejections'>
  readonly changes: Changes
  readonly log: Log
}

/**
 * What has a state but is no version in the store: uploads in progress and what was deleted lately, of this process only; and refused
 * uploads, which the store remembers.
 */
export class PendingUploads {
  readonly #open = new Set<{ record: VersionRecord }>()
  readonly #parts: PendingUploadsParts
  #rejected: readonly Rejection[] = []
  #deleted: readonly VersionRecord[] = []

  constructor(parts: PendingUploadsParts) {
    this.#parts = parts
  }

  begin(adapter: string, notes: VersionNotes = {}, source: VersionSource = 'upload'): PendingUpload {
    const rejection = { adapter, reason: '', createdAt: new Date().toISOString(), source, ...notes }
    const blank = { ...rejectedVersion(rejection), reason: null }
    const entry: { record: VersionRecord } = { record: { ...blank, state: 'uploading' } }
    this.#open.add(entry)
    return {
      validating: () => {
        entry.record = { ...entry.record, state: 'validating' }
      },
      finish: () => {
        this.#open.delete(entry)
      },
      reject: async (reason) => {
        if (this.#open.delete(entry)) await this.#reject({ ...rejection, reason })
      },
    }
  }

  /** Takes over what the store lists, unless this process changed it since the listing began. */
  follow(rejections: readonly Rejection[]): void {
    if (!this.#parts.changes.isRecent('rejections')) this.#rejected = rejections
  }

  /** The adapter has a new version, or is gone: what was refused before is of no interest any more. */
  async forget(adapter: string): Promise<void> {
    if (!this.hasRejected(adapter)) return
    this.#rejected = withoutRejections(this.#rejected, adapter)
    await this.#note((store) => store.clearRejections(adapter))
  }

  hasRejected(adapter: string): boolean {
    return this.#rejected.some((rejection) => rejection.adapter === adapter)
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
    return [...this.#rejected.map(rejectedVersion), ...[...this.#open].map(({ record }) => record)]
  }

  async #reject(rejection: Rejection): Promise<void> {
    this.#rejected = withRejection(this.#rejected, rejection)
    await this.#note((store) => store.addRejection(rejection))
  }

  /** The answer to an upload does not depend on whether the store can remember it. */
  async #note(write: (store: PendingUploadsParts['store']) => Promise<void>): Promise<void> {
    const { store, changes, log } = this.#parts
    try {
      await changes.run('rejections', () => write(store))
    } catch (error) {
      log.error({ err: error }, 'the store could not take note of refused uploads; a restart will not know')
    }
  }
}
