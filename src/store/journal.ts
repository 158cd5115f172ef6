import { setTimeout as sleep } from 'node:timers/promises'
import { TroupeError, messageOf } from '../core/errors.ts'
import type { Log } from '../core/log.ts'
import { Serial } from '../core/serial.ts'
import type { Store } from './port.ts'
import type { Book, Change, JournalRecord, Origin } from './record.ts'
import { newRecord, parseRecord, recordKey, recordNumber, renderRecord } from './record.ts'
import type { KnownKind } from './record-kinds.ts'
import { RecordKinds } from './record-kinds.ts'
import { readSnapshot, writeSnapshot } from './snapshot.ts'

/** Records read at once; a bucket answers many questions in the time of one. */
const WINDOW = 32
/** Records after which a snapshot is worth its while; more where the snapshot is large. */
const SNAPSHOT_EVERY = 512
const SNAPSHOT_BYTES_PER_RECORD = 4_096
/** Records since the last snapshot for which one is written at the end. */
const SNAPSHOT_AT_END = 64
/** Races lost in a row before a change is refused. */
const MAX_ATTEMPTS = 64
const PAUSE_AFTER_LOSSES = 3
const MAX_PAUSE_MS = 20

/** A record that cannot be used, and why. */
export interface UnusableRecord {
  readonly n: number
  readonly key: string
  readonly message: string
  /** Nobody knows what it said; otherwise all servers agree that it changes nothing. */
  readonly unread: boolean
}

export interface JournalOptions {
  readonly store: Store
  readonly books: readonly Book[]
  /** Id of this server, for its records. */
  readonly server: string
  readonly log: Log
}

/**
 * The numbered list of all changes, and what follows from it: the content of the books. A change is record N + 1, decided on what the books say after record
 * N: of several servers that write it at once one wins, and the others read on and decide anew. Records are never changed or removed.
 */
export class Journal {
  readonly #store: Store
  readonly #books: readonly Book[]
  readonly #kinds: RecordKinds
  readonly #server: string
  readonly #log: Log
  readonly #turns = new Serial()
  readonly #listeners: ((record: JournalRecord) => void)[] = []
  readonly #unusable: UnusableRecord[] = []
  #head = 0
  #snapshot = { n: 0, bytes: 0 }
  #snapshots: Promise<void> = Promise.resolve()
  #trouble: string | null = null

  private constructor({ store, books, server, log }: JournalOptions) {
    this.#store = store
    this.#books = books
    this.#server = server
    this.#log = log
    this.#kinds = new RecordKinds(books)
  }

  /**
   * Brings the books to what the store says now.
   * @throws TroupeError `storage_error` where the store cannot be read
   */
  static async open(options: JournalOptions): Promise<Journal> {
    const journal = new Journal(options)
    journal.#snapshot = await readSnapshot(options.store, options.books, options.log)
    journal.#head = journal.#snapshot.n
    await journal.#reportGap()
    await journal.#readOn()
    journal.#snapshotIfDue(SNAPSHOT_EVERY)
    return journal
  }

  /** Number of the last record that the books follow. */
  get head(): number {
    return this.#head
  }

  /** Why the store could not be used the last time; null = it could. */
  get trouble(): string | null {
    return this.#trouble
  }

  /** Records that change nothing though they should. While one of them could not be read, nothing is added or collected. */
  get unusable(): readonly UnusableRecord[] {
    return this.#unusable
  }

  /** Whether everything that was written is known here. */
  get isWhole(): boolean {
    return !this.#unusable.some(({ unread }) => unread)
  }

  /** Calls `listener` after every record, whoever wrote it. */
  onRecord(listener: (record: JournalRecord) => void): void {
    this.#listeners.push(listener)
  }

  /**
   * Records a change, durably, and brings the books to it.
   *
   * @param change or what decides on it, from what the books say: called again when another server was quicker
   * @throws TroupeError what the change is refused with; `conflict` when others were quicker again and again; `storage_error`: then it may have happened
   */
  async append(change: Change | (() => Change), { by, requestId }: Origin): Promise<JournalRecord> {
    return this.#turns.run(async () => {
      try {
        const record = await this.#append(change, requestId === undefined ? { by } : { by, requestId })
        this.#note(null)
        this.#snapshotIfDue(SNAPSHOT_EVERY)
        return record
      } catch (error) {
        if (error instanceof TroupeError && error.code === 'storage_error') this.#note(error)
        throw error
      }
    })
  }

  /** Reads what others wrote since. Never fails: `trouble` says what went wrong. */
  async follow(): Promise<void> {
    await this.#turns.run(async () => {
      try {
        await this.#readOn()
        this.#note(null)
      } catch (error) {
        this.#note(error)
      }
    })
  }

  /** Records after number `after`, oldest first, as they are in the store. @throws TroupeError `storage_error` */
  async read(after: number, limit: number): Promise<readonly JournalRecord[]> {
    const records: JournalRecord[] = []
    for (let n = after + 1; n <= this.#head && records.length < limit; n++) {
      const bytes = await this.#store.get(recordKey(n))
      if (bytes !== null) records.push(parseRecord(bytes, n))
    }
    return records
  }

  /** Ends what is in progress. Idempotent. */
  async close(): Promise<void> {
    await this.#turns.idle()
    this.#snapshotIfDue(SNAPSHOT_AT_END)
    await this.#snapshots
  }

  async #append(change: Change | (() => Change), origin: Origin): Promise<JournalRecord> {
    this.#refuseUnlessWhole()
    for (let attempt = 1; ; attempt++) {
      const decided = typeof change === 'function' ? change() : change
      const record = newRecord(this.#head + 1, decided, origin, this.#server)
      const known = this.#kinds.of(record)
      known.shape.check(record.data, 'internal')
      known.kind.check(record.data, record)
      if (await this.#put(record)) {
        this.#apply(record, known)
        return record
      }
      await this.#readOn()
      this.#refuseUnlessWhole()
      if (attempt === MAX_ATTEMPTS) {
        const message = `${MAX_ATTEMPTS} times in a row another server changed the store first; repeat the request`
        throw new TroupeError('conflict', message, { retryAfterSeconds: 1 })
      }
      if (attempt > PAUSE_AFTER_LOSSES) await sleep(Math.random() * MAX_PAUSE_MS)
    }
  }

  /** Whether the record is now the one with its number. A lost answer to a put that succeeded looks like a lost race: then it is there. */
  async #put(record: JournalRecord): Promise<boolean> {
    const key = recordKey(record.n)
    try {
      if (await this.#store.put(key, renderRecord(record))) return true
    } catch (error) {
      const bytes = await this.#store.get(key)
      if (bytes === null) throw error
      return isRecord(bytes, record)
    }
    const bytes = await this.#store.get(key)
    return bytes !== null && isRecord(bytes, record)
  }

  async #readOn(): Promise<void> {
    // One question where nothing is new; the more there is, the more are asked at once.
    for (let window = 1; ; window = Math.min(2 * window, WINDOW)) {
      const numbers = Array.from({ length: window }, (_, index) => this.#head + 1 + index)
      for (const bytes of await Promise.all(numbers.map((n) => this.#store.get(recordKey(n))))) {
        if (bytes === null) return
        this.#take(bytes)
      }
    }
  }

  /** The next record, as it lies in the store. What cannot be used is named and passed over. */
  #take(bytes: Uint8Array): void {
    const n = this.#head + 1
    let unread = true
    try {
      const record = parseRecord(bytes, n)
      const known = this.#kinds.of(record)
      known.shape.check(record.data, 'storage_error')
      unread = false
      known.kind.check(record.data, record)
      this.#apply(record, known)
    } catch (error) {
      this.#head = n
      this.#reportUnusable(n, messageOf(error), unread)
    }
  }

  #apply(record: JournalRecord, { kind }: KnownKind): void {
    kind.apply(record.data, record)
    this.#head = record.n
    for (const listener of this.#listeners) listener(record)
  }

  /** A record that is missing before others was removed: reading on would never come past it. */
  async #reportGap(): Promise<void> {
    const keys = await this.#store.list('journal/', recordKey(this.#head))
    const [first, last] = [keys[0], keys.at(-1)]
    if (first === undefined || last === undefined) return
    if (keys.length === recordNumber(last) - this.#head) return
    const there = new Set(keys.map(recordNumber))
    let n = this.#head + 1
    while (there.has(n)) n++
    const message = `${this.#store.name}: record ${n} of the journal is missing, though there are records up to ${recordNumber(last)}; put it back, or go on without it with \`troupe store repair\``
    throw new TroupeError('storage_error', message, { param: this.#store.name })
  }

  #reportUnusable(n: number, message: string, unread: boolean): void {
    const key = `${this.#store.name}/${recordKey(n)}`
    this.#unusable.push({ n, key, message, unread })
    this.#log.error({ record: key, reason: message }, 'unusable record in the journal')
  }

  #refuseUnlessWhole(): void {
    const unread = this.#unusable.find((record) => record.unread)
    if (!unread) return
    const message = `${unread.key} cannot be used (${unread.message}): nothing can be changed until it is restored, or set aside with \`troupe store repair\`, and the server is started again`
    throw new TroupeError('storage_error', message, { param: unread.key })
  }

  #note(error: unknown): void {
    const trouble = error === null ? null : messageOf(error)
    if (trouble === this.#trouble) return
    if (trouble === null) this.#log.info({}, 'the store can be used again')
    else if (this.#trouble === null) this.#log.error({ err: error }, 'the store cannot be used')
    this.#trouble = trouble
  }

  /** Writes a snapshot in the background, where enough records came since the last one. */
  #snapshotIfDue(least: number): void {
    const { n, bytes } = this.#snapshot
    const due = Math.max(least, least === SNAPSHOT_EVERY ? bytes / SNAPSHOT_BYTES_PER_RECORD : 0)
    if (this.#head - n < due || !this.isWhole || this.#trouble !== null) return
    const head = this.#head
    this.#snapshot = { n: head, bytes }
    // The content is taken now: what comes later is not in it.
    this.#snapshots = writeSnapshot(this.#store, head, this.#books).then(
      (written) => {
        this.#snapshot = { n: head, bytes: written }
      },
      (error: unknown) =>
        this.#log.warn({ err: error }, 'a snapshot could not be written; the next start takes longer'),
    )
  }
}

function isRecord(bytes: Uint8Array, { n, id }: JournalRecord): boolean {
  try {
    return parseRecord(bytes, n).id === id
  } catch {
    return false
  }
}
