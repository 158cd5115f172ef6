import { Worker } from 'node:worker_threads'
import type { MergeJob } from '../adapters/merge.ts'
import type { ReadAdapter } from '../adapters/read.ts'
import { TroupeError } from '../core/errors.ts'
import { threadEntry } from '../core/thread.ts'
import type { SiteNorm } from '../adapters/site-norms.ts'
import type { AdapterWeights } from '../core/branch.ts'
import type { FromLoader, LoaderOptions, ToLoader } from './loader-messages.ts'

type Answer = Exclude<FromLoader, { type: 'failed' }>

interface Pending {
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: Error) => void
}

/**
 * The thread that reads and merges adapters, so that neither parsing nor checking holds up requests. Weights come back in shared memory.
 * Reads run one after another. A thread that dies fails what it was reading; the next read starts a new one.
 */
export class Loader {
  readonly #options: LoaderOptions
  readonly #pending = new Map<number, Pending>()
  #worker: Worker | null = null
  #nextId = 1
  #closed: Promise<void> | null = null

  constructor(options: LoaderOptions) {
    this.#options = options
  }

  /**
   * @param memory to be filled, where the weights are exactly as large
   * @throws TroupeError as `readAdapter` does, with its code, message and field
   */
  async read(dir: string, memory: SharedArrayBuffer | null = null): Promise<ReadAdapter> {
    const answer = await this.#ask((id) => ({ type: 'read', id, dir, memory }))
    if (answer.type !== 'read') throw new Error(`the loader answered a read with ${answer.type}`)
    return answer.result
  }

  /** Lets reads pass in between. */
  async measure(weights: AdapterWeights): Promise<readonly SiteNorm[]> {
    const answer = await this.#ask((id) => ({ type: 'measure', id, weights }))
    if (answer.type !== 'measured') throw new Error(`the loader answered a measurement with ${answer.type}`)
    return answer.norms
  }

  /** @throws TroupeError as `mergeAdapters` does; `storage_error` where files cannot be read or written */
  async merge(job: MergeJob): Promise<void> {
    await this.#ask((id) => ({ type: 'merge', id, job }))
  }

  /** Ends the thread after the read it is at; what waits behind that fails. Idempotent. */
  async close(): Promise<void> {
    this.#closed ??= this.#stop()
    return this.#closed
  }

  async #ask(message: (id: number) => ToLoader): Promise<Answer> {
    if (this.#closed) throw stopping()
    const worker = (this.#worker ??= this.#start())
    const id = this.#nextId++
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject })
      worker.postMessage(message(id))
    })
  }

  async #stop(): Promise<void> {
    const worker = this.#worker
    if (!worker) return
    await new Promise<void>((resolve) => {
      worker.once('exit', () => resolve())
      worker.postMessage({ type: 'stop' } satisfies ToLoader)
    })
  }

  #start(): Worker {
    const options = { workerData: this.#options, name: 'troupe-loader' }
    const worker = new Worker(threadEntry(import.meta.url, 'loader-worker'), options)
    worker.on('message', (message: FromLoader) => this.#onMessage(message))
    worker.on('error', (error) => this.#onEnd(worker, error))
    worker.on('exit', (code) => this.#onEnd(worker, new Error(`the loader thread ended with code ${code}`)))
    return worker
  }

  #onMessage(message: FromLoader): void {
    const pending = this.#pending.get(message.id)
    this.#pending.delete(message.id)
    if (message.type !== 'failed') {
      pending?.resolve(message)
      return
    }
    const { code, message: text, param } = message.failure
    pending?.reject(new TroupeError(code, text, param === undefined ? {} : { param }))
  }

  #onEnd(worker: Worker, cause: Error): void {
    if (this.#worker !== worker) return
    this.#worker = null
    const error = this.#closed ? stopping() : new TroupeError('internal', 'reading an adapter failed', { cause })
    for (const pending of this.#pending.values()) pending.reject(error)
    this.#pending.clear()
  }
}

function stopping(): TroupeError {
  return new TroupeError('not_ready', 'the server is stopping')
}
