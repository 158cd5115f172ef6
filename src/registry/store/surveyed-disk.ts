import type { Dirent } from 'node:fs'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Disk, Mark } from './disk.ts'
import { blockingDisk, SETTLED_MS, waitingDisk } from './disk.ts'
import { errnoOf } from './durable.ts'
import type { Marks, SurveyOrder } from './survey.ts'
import { Survey } from './survey.ts'

/** Remembered marks given out before others get their turn on this thread. */
const MARKS_PER_TURN = 256

/**
 * The disk as a listing that is made again and again sees it: from some number of paths on, a thread looks at those of the listing before, and
 * only what changed is asked of the disk. For this the listing has to ask for the mark of everything that it depends on.
 */
export class SurveyedDisk implements Disk {
  readonly #least: number
  #disk: Disk = blockingDisk
  #survey: Survey | null = null
  /** What the survey was told last. */
  #told: Marks = new Map()
  /** Of the listing before, as far as they still hold. */
  #known = new Map<string, Mark | null>()
  /** Of the listing that is being made. */
  #found = new Map<string, Mark | null>()
  /** Whether something in it changed so lately that it has to be read again. */
  #restless = true
  #given = 0

  /** @param least paths from which on a thread is worth it */
  constructor(least: number) {
    this.#least = least
  }

  /**
   * Looks at the disk before a listing.
   * @returns whether it would be the same as the one before
   * @throws what ended the thread; after `giveUp` the disk is asked, and then another thread
   */
  async begin(): Promise<boolean> {
    const { size } = this.#known
    const isUnchanged = size > 0 && size >= this.#least && (await this.#look()) && !this.#restless
    if (isUnchanged) return true
    if (size < this.#least) this.#known.clear()
    this.#found = new Map()
    this.#restless = false
    return false
  }

  /** The listing that was begun is complete. */
  end(): void {
    this.#known = this.#found
    this.#disk = waitingDisk
  }

  /** The listing that was begun failed: the next one asks the disk for everything. */
  giveUp(): void {
    this.#known = new Map()
  }

  async close(): Promise<void> {
    await this.#survey?.close()
  }

  stat(path: string): Mark | Promise<Mark> {
    const known = this.#known.get(path)
    if (known === undefined) return this.#ask(path)
    this.#note(path, known)
    if (known === null) throw missing(path)
    // Else a listing of thousands would be one long turn.
    return ++this.#given % MARKS_PER_TURN === 0 ? nextTurn(known) : known
  }

  entries(path: string): Dirent[] | Promise<Dirent[]> {
    return this.#found.has(path) ? this.#disk.entries(path) : this.#markedEntries(path)
  }

  text(path: string): string | Promise<string> {
    return this.#disk.text(path)
  }

  async #markedEntries(path: string): Promise<Dirent[]> {
    await this.stat(path)
    return this.#disk.entries(path)
  }

  /** At once where the disk answers at once. */
  #ask(path: string): Mark | Promise<Mark> {
    const onError = (error: unknown): never => {
      if (errnoOf(error) === 'ENOENT') this.#note(path, null)
      throw error
    }
    try {
      const found = this.#disk.stat(path)
      return found instanceof Promise
        ? found.then((stats) => this.#noteStats(path, stats), onError)
        : this.#noteStats(path, found)
    } catch (error) {
      return onError(error)
    }
  }

  #noteStats(path: string, { mtimeMs, size, ino }: Mark): Mark {
    const mark = { mtimeMs, size, ino }
    this.#note(path, mark)
    return mark
  }

  /** What is read after the first look is at least as new as that. */
  #note(path: string, mark: Mark | null): void {
    if (!this.#found.has(path)) this.#found.set(path, mark)
    if (mark !== null && Date.now() - mark.mtimeMs <= SETTLED_MS) this.#restless = true
  }

  /** Whether all that is known still holds; what does not is forgotten. */
  async #look(): Promise<boolean> {
    if (this.#survey === null || this.#survey.ended) {
      this.#survey = new Survey()
      this.#told = new Map()
    }
    const changed = await this.#survey.look(this.#order())
    for (const path of changed) this.#known.delete(path)
    return changed.length === 0
  }

  /** How what is known differs from what the survey was told. */
  #order(): SurveyOrder {
    const [told, known] = [this.#told, this.#known]
    if (told === known) return { watch: new Map(), forget: [] }
    this.#told = known
    return {
      watch: new Map([...known].filter(([path, mark]) => told.get(path) !== mark)),
      forget: [...told.keys()].filter((path) => !known.has(path)),
    }
  }
}

function missing(path: string): Error {
  return Object.assign(new Error(`ENOENT: no such file or directory, stat '${path}'`), { code: 'ENOENT' })
}
