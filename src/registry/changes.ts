import { Serial } from './serial.ts'

/** What a change is about: `adapter <name>`, `task <name>` or the refused uploads. */
export type ChangeSubject = `adapter ${string}` | `task ${string}` | 'rejections'

/**
 * Changes of store and memory by this process, one at a time: a version cannot be deleted while a task is being pointed at it.
 * Remembers what was changed, for whoever compares memory with a listing of the store that may be older than the change.
 */
export class Changes {
  readonly #queue = new Serial()
  readonly #recent = new Set<ChangeSubject>()
  #running: ChangeSubject | null = null

  run<T>(subject: ChangeSubject, job: () => Promise<T>): Promise<T> {
    return this.#queue.run(async () => {
      this.#recent.add(subject)
      this.#running = subject
      try {
        return await job()
      } finally {
        this.#running = null
      }
    })
  }

  /** Begins to remember anew, with what is running now: a listing may see it half done, and be compared before it ends. */
  forgetRecent(): void {
    this.#recent.clear()
    if (this.#running !== null) this.#recent.add(this.#running)
  }

  /** Whether nothing was changed since `forgetRecent`. */
  get quiet(): boolean {
    return this.#recent.size === 0
  }

  isRecent(subject: ChangeSubject): boolean {
    return this.#recent.has(subject)
  }

  /** Resolves when all changes asked for so far have ended. */
  async idle(): Promise<void> {
    await this.#queue.idle()
  }
}
