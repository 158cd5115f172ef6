import type { AdapterNotes } from '../adapter-notes.ts'
import type { TaskRecord, VersionRecord } from '../records.ts'
import type { Rejection } from '../rejections.ts'

/** What the store keeps beside the files of a version: written once, never changed. */
export interface VersionDocument extends Omit<VersionRecord, 'state' | 'reason'> {
  /** The tenant that brought it. */
  readonly createdBy: string
  /** The base model it was validated and probed with. */
  readonly base: { readonly name: string; readonly fingerprint: string }
}

/** A version to be stored: the store assigns the number. */
export type NewVersion = Omit<VersionDocument, 'version'>

/** A private folder for the files of one upload. Nothing in it is visible before `putVersion`. */
export interface Staging {
  readonly dir: string
  /**
   * Writes one file durably and returns its size; more than `limitBytes` are refused. A failure discards the whole folder.
   * @throws TroupeError `invalid_request` for the name, `upload_too_large`, `storage_error`
   */
  write(fileName: string, content: AsyncIterable<Uint8Array>, limitBytes?: number): Promise<number>
  /** Removes what is left of it. Idempotent; does nothing once the version is stored. */
  discard(): Promise<void>
}

/** Something deleted whose bytes stay readable until `remove`. */
export interface Trashed {
  /** The folder to read the given version from. */
  folderOf(digest: string): string
  remove(): Promise<void>
}

/** An adapter folder that a person put into the store. */
export interface DroppedFolder {
  readonly adapter: string
  readonly dir: string
  readonly files: readonly { readonly name: string; readonly size: number; readonly mtimeMs: number }[]
}

/** An entry of the store that cannot be used, and why. */
export interface DamagedEntry {
  readonly kind: 'adapter' | 'version' | 'task' | 'rejections'
  readonly name: string
  readonly digest: string | null
  readonly path: string
  readonly message: string
}

/** Everything in the store. Unchanged adapters and tasks are the same objects as in the listing before. */
export interface StoreListing {
  /** Versions by adapter, ascending by number. */
  readonly adapters: ReadonlyMap<string, readonly VersionDocument[]>
  readonly tasks: ReadonlyMap<string, TaskRecord>
  /** Notes by adapter, where there are any. */
  readonly notes: ReadonlyMap<string, AdapterNotes>
  /** Refused uploads, oldest first; bounded. */
  readonly rejections: readonly Rejection[]
  readonly dropped: readonly DroppedFolder[]
  readonly damaged: readonly DamagedEntry[]
}

/**
 * Where adapters and tasks live: the source of truth. Several processes may share one store.
 * Every method throws TroupeError `storage_error`, naming the path, when the medium fails.
 */
export interface RegistryStore {
  stage(): Promise<Staging>
  /**
   * Makes staged files a version, visible at one instant and durable before the promise resolves. Put-if-absent: when the
   * adapter has the digest already, the stored document comes back with `created: false`. Numbers grow and are never reused.
   * @throws TroupeError `conflict` when the name is an owner and cannot be an adapter too, or the other way round
   */
  putVersion(
    staging: Staging,
    version: NewVersion,
  ): Promise<{ readonly document: VersionDocument; readonly created: boolean }>
  /** Puts the same bytes again under a version whose stored files were altered or lost. */
  repairVersion(staging: Staging, adapter: string, digest: string): Promise<void>
  /** A local folder with the files of a version; it may be gone when it is read. */
  versionFolder(adapter: string, digest: string): string
  /** @throws TroupeError `version_not_found` */
  deleteVersion(adapter: string, digest: string): Promise<Trashed>
  /** Deletes the adapter with everything in its folder. @throws TroupeError `adapter_not_found` */
  deleteAdapter(adapter: string): Promise<Trashed>
  getNotes(adapter: string): Promise<AdapterNotes | null>
  /**
   * Compare-and-swap: stores the notes if the stored revision is `expected` (0 = there are none), durably.
   * @throws TroupeError `conflict`, `adapter_not_found`
   */
  putNotes(adapter: string, notes: AdapterNotes, expected: number): Promise<void>
  getTask(name: string): Promise<TaskRecord | null>
  /**
   * Compare-and-swap: stores the task if the stored revision is `expected` (null = there is none), durably.
   * @throws TroupeError `conflict`
   */
  putTask(task: TaskRecord, expected: number | null): Promise<void>
  /** @throws TroupeError `task_not_found` */
  deleteTask(name: string): Promise<void>
  /** Keeps a refused upload in mind, durably; only the newest ones are. */
  addRejection(rejection: Rejection): Promise<void>
  /** Forgets what was refused of an adapter. */
  clearRejections(adapter: string): Promise<void>
  /** Cheap when little changed, and the same object when nothing did: it is called every second or two. */
  list(): Promise<StoreListing>
  /** Removes files that were taken from where they were dropped; what else lies there stays. */
  clearDropped(folder: DroppedFolder, taken: readonly string[]): Promise<void>
  /** Ends what runs by itself. Nothing is listed any more. */
  close(): Promise<void>
}
