import type { Changes } from '../catalogue/changes.ts'
import type { Notes, Refusal, VersionRecord, VersionSource } from '../catalogue/version.ts'
import { refusedVersion } from '../catalogue/version.ts'
import type { Log } from '../core/log.ts'
import type { Origin } from '../store/record.ts'

/** Refusals that the store could not take note of; older ones are forgotten. */
const MAX_UNRECORDED = 100

/** Where new files come from, and what is said about them. */
export interface Arrival extends Origin {
  readonly source: VersionSource
  readonly notes?: Notes | undefined
  /** Takes an adapter that names another base model, with a warning. */
  readonly allowBaseMismatch?: boolean
}

/** An upload or merge on its way; it ends by `finish` or `reject`. */
export interface PendingUpload {
  validating(): void
  finish(): void
  /** It stays visible with its reason, also after a restart; nothing tries it again. */
  reject(reason: string): Promise<void>
}

/** Uploads in progress of this server, among the versions of their adapters. */
export class PendingUploads {
  readonly #open = new Set<{ record: VersionRecord }>()
  readonly #changes: Changes
  readonly #log: Log
  #unrecorded: readonly Refusal[] = []

  constructor(changes: Changes, log: Log) {
    this.#changes = changes
    this.#log = log
  }

  begin(adapter: string, { source, notes, by, requestId }: Arrival): PendingUpload {
    const refusal = { adapter, reason: '', createdAt: new Date().toISOString(), source, ...notes }
    const entry: { record: VersionRecord } = {
      record: { ...refusedVersion(refusal), reason: null, state: 'uploading' },
    }
    this.#open.add(entry)
    return {
      validating: () => {
        entry.record = { ...entry.record, state: 'validating' }
      },
      finish: () => {
        this.#open.delete(entry)
      },
      reject: async (reason) => {
        if (!this.#open.delete(entry)) return
        try {
          await this.#changes.refuseUpload(
            { ...refusal, reason },
            { by, ...(requestId === undefined ? {} : { requestId }) },
          )
        } catch (error) {
          // The answer to an upload does not depend on whether the store can remember it.
          this.#unrecorded = [...this.#unrecorded, { ...refusal, reason }].slice(-MAX_UNRECORDED)
          this.#log.error({ err: error }, 'the store could not take note of a refused upload; a restart will not know')
        }
      },
    }
  }

  records(): VersionRecord[] {
    return [...this.#unrecorded.map(refusedVersion), ...[...this.#open].map(({ record }) => record)]
  }
}
