import type { ErrorCode } from '../core/errors.ts'
import { TroupeError } from '../core/errors.ts'
import { folderSource } from '../intake/folder-source.ts'
import { takeFiles } from '../intake/take-files.ts'
import type { AddedVersion, Intake } from './intake.ts'
import type { Log } from './log.ts'
import type { VersionRecord } from './records.ts'
import type { DroppedFolder, RegistryStore } from './store/port.ts'
import { unusableVersion } from './unusable-version.ts'

/** Failures that come from the moment and not from the files: tried again. */
const PASSING: readonly ErrorCode[] = ['storage_error', 'overloaded', 'not_ready', 'internal']
const MAX_ATTEMPTS = 5

interface Watched {
  readonly signature: string
  /** When this state of the files was first seen, in milliseconds. */
  readonly since: number
  attempts: number
  importing: boolean
  rejection: VersionRecord | null
}

/**
 * Folders that people put into the store. One is taken once its files have not changed for a while; what is refused stays where
 * it is, shows up as a rejected version, and is looked at again when its files change.
 */
export class DroppedFolders {
  readonly #store: RegistryStore
  readonly #intake: Intake
  readonly #log: Log
  readonly #stableMs: number
  readonly #watched = new Map<string, Watched>()
  #imported = 0

  constructor(store: RegistryStore, intake: Intake, log: Log, stableMs: number) {
    this.#store = store
    this.#intake = intake
    this.#log = log
    this.#stableMs = stableMs
  }

  /** Versions imported since the start. */
  get imported(): number {
    return this.#imported
  }

  /** The rejected folders as versions with the number 0: they were never accepted. */
  rejected(): VersionRecord[] {
    return [...this.#watched.values()].flatMap(({ rejection }) => (rejection ? [rejection] : []))
  }

  /**
   * Looks at the folders of one scan and imports those that came to rest. Resolves when these imports have ended; the next scan may
   * come before that.
   * @param now milliseconds of a clock that never goes back
   */
  async examine(folders: readonly DroppedFolder[], now: number): Promise<void> {
    const present = new Set(folders.map(({ dir }) => dir))
    for (const [dir, { importing }] of this.#watched) if (!present.has(dir) && !importing) this.#watched.delete(dir)
    const ready = folders.filter((folder) => this.#isReady(folder, now))
    await Promise.all(ready.map((folder) => this.#import(folder)))
  }

  #isReady(folder: DroppedFolder, now: number): boolean {
    const signature = JSON.stringify(folder.files)
    const known = this.#watched.get(folder.dir)
    if (known?.importing) return false
    if (known?.signature === signature) return !known.rejection && now - known.since >= this.#stableMs
    this.#watched.set(folder.dir, { signature, since: now, attempts: 0, importing: false, rejection: null })
    return false
  }

  async #import(folder: DroppedFolder): Promise<void> {
    const { adapter, dir } = folder
    const watched = this.#watched.get(dir)
    if (!watched) return
    watched.importing = true
    try {
      const staging = await this.#store.stage()
      const report = await takeFiles(await folderSource(dir), staging.dir).catch(async (error: unknown) => {
        await staging.discard()
        throw error
      })
      const { record, created }: AddedVersion = await this.#intake.add(adapter, staging, {
        source: 'folder',
        by: 'folder',
      })
      this.#imported++
      if (!created) this.#log.info({ adapter, version: record.version, folder: dir }, 'dropped folder is known already')
      await this.#store.clearDropped(
        folder,
        report.took.map(({ file }) => file),
      )
      this.#watched.delete(dir)
    } catch (error) {
      watched.attempts++
      const passing = !(error instanceof TroupeError) || PASSING.includes(error.code)
      if (passing && watched.attempts < MAX_ATTEMPTS) {
        this.#log.warn({ err: error, adapter, folder: dir }, 'dropped folder could not be imported yet; trying again')
        return
      }
      watched.rejection = rejectedVersion(folder, error instanceof Error ? error.message : String(error))
      this.#log.warn({ err: error, adapter, folder: dir }, 'dropped folder rejected')
    } finally {
      watched.importing = false
    }
  }
}

function rejectedVersion(folder: DroppedFolder, reason: string): VersionRecord {
  const newest = Math.max(0, ...folder.files.map(({ mtimeMs }) => mtimeMs))
  return unusableVersion(folder.adapter, '', `${folder.dir}: ${reason}`, new Date(newest).toISOString())
}
