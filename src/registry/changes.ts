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

  run<T>(subject: ChangeSubject, job: () => Promise<T>): Promise<T> {
    return this.#queue.run(async () => {
      this.#recent.add(subject)
      try {
        return await job()
      } finally {
        this.#recent.add(subject)
      }
    })
  }

  /** Begins to remember anew; what is running now is noted when it ends. */
  forgetRecent(): void {
    this.#recent.clear()
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
