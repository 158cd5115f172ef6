import type { Catalogue } from './catalogue.ts'
import type { Changes } from './changes.ts'
import type { Log } from './log.ts'
import type { VersionRecord } from './records.ts'
import type { NotesBook } from './notes-book.ts'
import type { PendingUploads } from './pending-uploads.ts'
import type { DamagedEntry, RegistryStore, StoreListing } from './store/port.ts'
import type { TaskBook } from './task-book.ts'

export interface StoreFollowerParts {
  readonly store: RegistryStore
  readonly catalogue: Catalogue
  readonly tasks: TaskBook
  readonly notes: NotesBook
  readonly uploads: Pick<PendingUploads, 'follow'>
  readonly changes: Changes
  readonly log: Log
  /** Called for a version whose bytes the store no longer has. */
  readonly onGone: (version: VersionRecord) => void
  /** Called when everything was taken over. */
  readonly onFollowed: () => void
}

/** Keeps the memory's picture of the store right: what other processes and people add, change or remove. */
export class StoreFollower {
  readonly #parts: StoreFollowerParts
  #error: string | null = null
  #damaged: readonly DamagedEntry[] = []
  /** The last listing, if all of it was taken over. */
  #followed: StoreListing | null = null

  constructor(parts: StoreFollowerParts) {
    this.#parts = parts
  }

  /** Why the store could not be read the last time; null = it could. */
  get error(): string | null {
    return this.#error
  }

  get damaged(): readonly DamagedEntry[] {
    return this.#damaged
  }

  /** Reads the store and takes over the differences. Null if it cannot be read; then everything stays as it was. */
  async follow(): Promise<StoreListing | null> {
    this.#parts.changes.forgetRecent()
    try {
      const listing = await this.#parts.store.list()
      if (listing !== this.#followed) this.#takeOver(listing)
      if (this.#error !== null) this.#parts.log.info({}, 'the store can be read again')
      this.#error = null
      this.#parts.onFollowed()
      return listing
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      if (this.#error !== message) this.#parts.log.error({ err: error }, 'the store cannot be read')
      this.#error = message
      return null
    }
  }

  #takeOver(listing: StoreListing): void {
    const { changes, notes, uploads } = this.#parts
    this.#followAdapters(listing)
    this.#followTasks(listing)
    notes.follow(listing.notes, (adapter) => changes.isRecent(`adapter ${adapter}`))
    uploads.follow(listing.rejections)
    this.#reportDamage(listing.damaged)
    this.#followed = changes.quiet ? listing : null
  }

  #followAdapters(listing: StoreListing): void {
    const { catalogue, changes } = this.#parts
    for (const [name, versions] of listing.adapters) {
      if (catalogue.isCurrent(name, versions) || changes.isRecent(`adapter ${name}`)) continue
      const before = catalogue.get(name)?.versions ?? []
      catalogue.setListed(name, versions)
      this.#tellGone(before)
    }
    for (const name of [...catalogue.names()]) {
      if (listing.adapters.has(name) || changes.isRecent(`adapter ${name}`)) continue
      const before = catalogue.get(name)?.versions ?? []
      catalogue.removeAdapter(name)
      this.#tellGone(before)
    }
  }

  #followTasks(listing: StoreListing): void {
    const { tasks, changes } = this.#parts
    const unreadable = new Set(listing.damaged.flatMap(({ kind, name }) => (kind === 'task' ? [name] : [])))
    for (const [name, task] of listing.tasks) {
      if (tasks.all.get(name) !== task && !changes.isRecent(`task ${name}`)) tasks.follow(name, task)
    }
    for (const name of [...tasks.all.keys()]) {
      // A task whose file became unreadable goes on as it last was.
      const kept = listing.tasks.has(name) || unreadable.has(name) || changes.isRecent(`task ${name}`)
      if (!kept) tasks.follow(name, null)
    }
  }

  #tellGone(versions: readonly VersionRecord[]): void {
    const { catalogue, onGone } = this.#parts
    for (const version of versions) if (catalogue.adaptersOf(version.digest).length === 0) onGone(version)
  }

  #reportDamage(damaged: readonly DamagedEntry[]): void {
    const known = new Set(this.#damaged.map(({ path, message }) => `${path} ${message}`))
    for (const { path, message, name } of damaged) {
      if (!known.has(`${path} ${message}`))
        this.#parts.log.error({ name, path, reason: message }, 'unusable entry in the store')
    }
    this.#damaged = damaged
  }
}
