import type { Log } from '../core/log.ts'
import { TroupeError } from '../core/errors.ts'
import { Serial } from '../core/serial.ts'
import type { BlobId } from '../store/blobs.ts'
import { blobPrefix, deleteBlob, listBlobs, madeAt } from '../store/blobs.ts'
import type { Journal } from '../store/journal.ts'
import type { Store } from '../store/port.ts'
import type { ServerLeases } from '../store/server-leases.ts'
import type { CatalogueState, Condemned } from './state.ts'

/** A blob that nothing names may belong to an upload in progress for so long. Too short a time costs that upload another try, nothing else. */
export const GRACE_MS = 3_600_000
const EVERY_MS = 30_000
/** Rounds between two looks at all blobs there are. */
const FULL_EVERY = 120

/** Nothing to record after all. */
class Nothing extends Error {}

export interface CollectorParts {
  readonly store: Store
  readonly journal: Journal
  readonly state: CatalogueState
  readonly leases: ServerLeases
  /** Whether this server still uses a version. */
  readonly isUsed: (digest: string) => boolean
  readonly log: Log
}

/** What a collection finds and does. */
export interface Collection {
  /** Blobs that no version names, older than the grace period: they are condemned. */
  readonly orphans: readonly BlobId[]
  /** Condemned blobs that no server uses any more: their bytes go. */
  readonly removed: readonly BlobId[]
  /** Condemned blobs that some server may still use. */
  readonly waiting: readonly BlobId[]
}

/**
 * Removes the bytes that nothing names, in three steps of which none can take something from anybody: condemn (after that record nothing ever names the
 * blob again), wait until every live server has let go, delete. Every server does it; it does not matter which one is first.
 */
export class Collector {
  readonly #parts: CollectorParts
  readonly #turns = new Serial()
  #timer: NodeJS.Timeout | null = null
  #round = 0
  #stopped = false

  constructor(parts: CollectorParts) {
    this.#parts = parts
  }

  /** @returns number of the record up to which this server has let go of everything that was deleted */
  static released({ journal, state, isUsed }: Pick<CollectorParts, 'journal' | 'state' | 'isUsed'>): number {
    let released = journal.head
    for (const { id, n } of state.condemned.values()) if (isUsed(id.digest)) released = Math.min(released, n - 1)
    return released
  }

  /** What `collect` would do now. @throws TroupeError `storage_error` */
  async look(graceMs = GRACE_MS): Promise<Collection> {
    const { store, state } = this.#parts
    const stored = await listBlobs(store)
    const orphans: BlobId[] = []
    const found: Condemned[] = []
    for (const [key, { id }] of stored) {
      const condemned = state.condemned.get(key)
      if (condemned) found.push(condemned)
      else if (!state.isNamed(id) && Date.now() - madeAt(id) >= graceMs) orphans.push(id)
    }
    return { orphans, ...(await this.#sort(found)) }
  }

  /** One whole collection. @throws TroupeError `storage_error` */
  async collect(graceMs = GRACE_MS): Promise<Collection> {
    return this.#turns.run(async () => {
      this.#refuseUnlessWhole()
      await this.#condemn((await this.look(graceMs)).orphans)
      const found = await this.look(graceMs)
      await this.#remove(found.removed)
      return found
    })
  }

  /** Removes what was deleted lately, as far as nobody uses it; a store that cannot be reached is tried again later. */
  async sweep(): Promise<void> {
    await this.#turns.run(async () => {
      if (this.#stopped) return
      const fresh = [...this.#parts.state.condemned.values()].filter(({ orphan }) => !orphan)
      if (fresh.length === 0 || !this.#parts.journal.isWhole) return
      try {
        await this.#remove((await this.#sort(fresh)).removed)
      } catch (error) {
        this.#parts.log.info({ err: error }, 'deleted files could not be removed yet')
      }
    })
  }

  /** Collects now and then. */
  start(): void {
    this.#timer = setInterval(() => {
      const isFull = this.#round++ % FULL_EVERY === 0
      const work = isFull && this.#parts.journal.isWhole ? this.collect() : this.sweep()
      work.catch((error: unknown) => this.#parts.log.info({ err: error }, 'unused files could not be collected yet'))
    }, EVERY_MS)
    this.#timer.unref()
  }

  /** Ends after what is in progress, and a last sweep. */
  async stop(): Promise<void> {
    if (this.#timer) clearInterval(this.#timer)
    await this.sweep()
    this.#stopped = true
  }

  /** Which condemned blobs nobody uses any more. */
  async #sort(condemned: readonly Condemned[]): Promise<Pick<Collection, 'removed' | 'waiting'>> {
    const { leases, isUsed } = this.#parts
    const others = condemned.length === 0 ? [] : await leases.others()
    const isFree = ({ id, n }: Condemned): boolean =>
      !isUsed(id.digest) && others.every((lease) => lease !== null && lease.released >= n)
    const [removed, waiting] = [condemned.filter(isFree), condemned.filter((one) => !isFree(one))]
    return { removed: removed.map(({ id }) => id), waiting: waiting.map(({ id }) => id) }
  }

  async #condemn(blobs: readonly BlobId[]): Promise<void> {
    const { state } = this.#parts
    await this.#record('blobs.condemned', () => blobs.filter((id) => !state.isNamed(id) && !state.isCondemned(id)))
  }

  async #remove(blobs: readonly BlobId[]): Promise<void> {
    const { store, state } = this.#parts
    for (const id of blobs) await deleteBlob(store, id)
    await this.#record('blobs.collected', () =>
      blobs.filter((id) => state.condemned.get(blobPrefix(id))?.orphan === false),
    )
  }

  async #record(type: string, choose: () => readonly BlobId[]): Promise<void> {
    try {
      await this.#parts.journal.append(
        () => {
          const blobs = choose().map(({ digest, blob }) => ({ digest, blob }))
          if (blobs.length === 0) throw new Nothing()
          return { type, data: { blobs } }
        },
        { by: 'collector' },
      )
    } catch (error) {
      if (!(error instanceof Nothing)) throw error
    }
  }

  #refuseUnlessWhole(): void {
    if (this.#parts.journal.isWhole) return
    const [first] = this.#parts.journal.unusable
    throw new TroupeError(
      'storage_error',
      `nothing is collected while ${first?.key} cannot be read: it may name files that look unused`,
    )
  }
}
