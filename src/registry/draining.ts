import type { Log } from './log.ts'
import type { VersionRecord } from './records.ts'
import type { Trashed } from './store/port.ts'

interface Leaving {
  readonly record: VersionRecord
  readonly trashed: Trashed
}

/** Deleted versions that running requests still use. They cannot be resolved any more; the last lease removes their bytes. */
export class Draining {
  readonly #byDigest = new Map<string, Leaving[]>()
  readonly #log: Log
  readonly #removals = new Set<Promise<void>>()

  constructor(log: Log) {
    this.#log = log
  }

  get count(): number {
    return this.#byDigest.size
  }

  /**
   * Takes over what was deleted.
   * @param inUse of the deleted versions; the bytes are removed at once if there are none
   */
  add(inUse: readonly VersionRecord[], trashed: Trashed): void {
    for (const record of inUse) {
      const leaving = { record: { ...record, state: 'draining' as const }, trashed }
      this.#byDigest.set(record.digest, [...(this.#byDigest.get(record.digest) ?? []), leaving])
    }
    if (inUse.length === 0) this.#remove(trashed)
  }

  record(digest: string): VersionRecord | null {
    return this.#byDigest.get(digest)?.[0]?.record ?? null
  }

  /** Where the bytes of a draining version are. */
  folderOf(digest: string): string | null {
    return this.#byDigest.get(digest)?.[0]?.trashed.folderOf(digest) ?? null
  }

  records(): VersionRecord[] {
    return [...this.#byDigest.values()].flat().map(({ record }) => record)
  }

  /** The last user of a digest is gone. */
  onIdle(digest: string): void {
    const leaving = this.#byDigest.get(digest)
    if (!leaving) return
    this.#byDigest.delete(digest)
    const stillNeeded = new Set([...this.#byDigest.values()].flat().map(({ trashed }) => trashed))
    for (const { trashed } of leaving) if (!stillNeeded.has(trashed)) this.#remove(trashed)
  }

  /** Resolves when removals in progress have ended. */
  async settled(): Promise<void> {
    await Promise.all(this.#removals)
  }

  #remove(trashed: Trashed): void {
    const removal = trashed
      .remove()
      .catch((error: unknown) =>
        this.#log.error({ err: error }, 'deleted files could not be removed; a restart removes them'),
      )
      .finally(() => this.#removals.delete(removal))
    this.#removals.add(removal)
  }
}
