import { fstatSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import { sha256Open } from '../adapters/digest.ts'
import { threadEntry } from '../core/thread.ts'

/** Smaller files are hashed sooner than a thread is told of them. */
const SMALL_BYTES = 1 << 20

/** The thread's answer; null = it could not read the file. */
export interface Hashed {
  readonly fd: number
  readonly sha256: string | null
}

/** Hashes open files in a thread of its own, while the caller's reads them. */
export class Hasher {
  readonly #pending = new Map<number, (sha256: string | null) => void>()
  #worker: Worker | null = null

  /**
   * sha256 of an open file, in hex; the file must stay open until then.
   * @throws what reading the file throws
   */
  async hash(fd: number): Promise<string> {
    if (fstatSync(fd).size < SMALL_BYTES) return sha256Open(fd)
    const worker = (this.#worker ??= this.#start())
    const found = await new Promise<string | null>((resolve) => {
      this.#pending.set(fd, resolve)
      worker.postMessage(fd)
    })
    // What failed there is done again here, where the error can be thrown.
    return found ?? sha256Open(fd)
  }

  /** Ends the thread. Idempotent. */
  async close(): Promise<void> {
    await this.#worker?.terminate()
  }

  #start(): Worker {
    const worker = new Worker(threadEntry(import.meta.url, 'hasher-worker'), { name: 'troupe-hasher' })
    worker.on('message', ({ fd, sha256 }: Hashed) => {
      this.#pending.get(fd)?.(sha256)
      this.#pending.delete(fd)
    })
    // 'exit' follows.
    worker.on('error', () => undefined)
    worker.on('exit', () => {
      this.#worker = null
      for (const answer of this.#pending.values()) answer(null)
      this.#pending.clear()
    })
    return worker
  }
}
