import { Worker } from 'node:worker_threads'
import { threadEntry } from '../../core/thread.ts'
import type { Mark } from './disk.ts'

/** Paths, and what was found there; null = nothing. */
export type Marks = ReadonlyMap<string, Mark | null>

/** What is to be looked after from now on, and what no longer. */
export interface SurveyOrder {
  readonly watch: Marks
  readonly forget: readonly string[]
}

interface Pending {
  readonly resolve: (changed: readonly string[]) => void
  readonly reject: (error: Error) => void
}

/**
 * A thread that looks after many paths. Thousands of them looked at one by one from the main thread would cost it a tenth of its time, the system
 * calls alone cost a hundredth of that of another.
 */
export class Survey {
  readonly #worker = new Worker(threadEntry(import.meta.url, 'survey-worker'), { name: 'troupe-survey' })
  readonly #pending: Pending[] = []
  #ended = false

  constructor() {
    this.#worker.unref()
    this.#worker.on('message', (changed: readonly string[]) => {
      this.#pending.shift()?.resolve(changed)
      if (this.#pending.length === 0) this.#worker.unref()
    })
    this.#worker.on('error', (error) => this.#end(error))
    this.#worker.on('exit', (code) =>
      this.#end(new Error(`the thread that looks at the store ended with code ${code}`)),
    )
  }

  get ended(): boolean {
    return this.#ended
  }

  /** The paths at which something else is now than was told, each once: it is not looked after any more. */
  async look(order: SurveyOrder): Promise<readonly string[]> {
    if (this.#ended) throw new Error('the thread that looks at the store has ended')
    return new Promise((resolve, reject) => {
      this.#pending.push({ resolve, reject })
      this.#worker.ref()
      this.#worker.postMessage(order)
    })
  }

  async close(): Promise<void> {
    await this.#worker.terminate()
  }

  #end(error: Error): void {
    this.#ended = true
    for (const { reject } of this.#pending.splice(0)) reject(error)
  }
}
