import { Worker } from 'node:worker_threads'
import type { AdapterWeights } from '../core/branch.ts'
import { TroupeError } from '../core/errors.ts'
import { threadEntry } from '../core/thread.ts'
import type { FromReference, ReferenceOptions, ToReference } from './messages.ts'

/** The thread holds a layer of the model in f32: it ends when it has had nothing to do for this long. */
const IDLE_MS = 10_000

interface Pending {
  readonly resolve: (logprobs: Float32Array) => void
  readonly reject: (error: Error) => void
}

/** Answers of the model with an adapter merged into its weights, from a thread that is started when it is needed and ends when it is idle. */
export class MergedReference {
  readonly #options: ReferenceOptions
  readonly #idleMs: number
  readonly #pending = new Map<number, Pending>()
  #base: { readonly tokens: string; readonly logprobs: Promise<Float32Array> } | null = null
  #worker: Worker | null = null
  #idle: NodeJS.Timeout | null = null
  #nextId = 1
  #closed: Promise<void> | null = null

  constructor(options: ReferenceOptions, idleMs = IDLE_MS) {
    this.#options = options
    this.#idleMs = idleMs
  }

  /** Whether there is a thread now. */
  get running(): boolean {
    return this.#worker !== null
  }

  /**
   * The base model's log-probabilities, `[tokens − 1, vocab]`; those of the last tokens asked for are kept.
   * @throws TroupeError `internal` when they could not be computed, `not_ready` when the server stops
   */
  async base(tokens: Int32Array): Promise<Float32Array> {
    const key = tokens.join()
    if (this.#base?.tokens === key) return this.#base.logprobs
    const kept = { tokens: key, logprobs: this.#pass(tokens, null) }
    this.#base = kept
    kept.logprobs.catch(() => {
      if (this.#base === kept) this.#base = null
    })
    return kept.logprobs
  }

  /** The same with an adapter that can be merged (`notMergeable`). @throws TroupeError as `base` */
  async adapted(tokens: Int32Array, adapter: AdapterWeights): Promise<Float32Array> {
    return this.#pass(tokens, adapter)
  }

  /** Ends the thread after the pass it is at. Idempotent. */
  async close(): Promise<void> {
    this.#closed ??= this.#stop()
    return this.#closed
  }

  async #pass(tokens: Int32Array, adapter: AdapterWeights | null): Promise<Float32Array> {
    if (this.#closed) throw stopping()
    if (this.#idle) clearTimeout(this.#idle)
    const worker = (this.#worker ??= this.#start())
    const id = this.#nextId++
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject })
      worker.postMessage({ type: 'pass', id, tokens, adapter } satisfies ToReference)
    })
  }

  async #stop(): Promise<void> {
    if (this.#idle) clearTimeout(this.#idle)
    const worker = this.#worker
    if (!worker) return
    await new Promise<void>((resolve) => {
      worker.once('exit', () => resolve())
      worker.postMessage({ type: 'stop' } satisfies ToReference)
    })
  }

  #start(): Worker {
    const options = { workerData: this.#options, name: 'troupe-reference' }
    const worker = new Worker(threadEntry(import.meta.url, 'reference-worker'), options)
    worker.on('message', (message: FromReference) => this.#onMessage(message))
    worker.on('error', (error) => this.#onEnd(worker, error))
    worker.on('exit', (code) => this.#onEnd(worker, new Error(`the reference thread ended with code ${code}`)))
    return worker
  }

  #onMessage(message: FromReference): void {
    const pending = this.#pending.get(message.id)
    this.#pending.delete(message.id)
    if (message.type === 'passed') pending?.resolve(message.logprobs)
    else pending?.reject(new TroupeError('internal', `the merged reference could not be computed: ${message.message}`))
    if (this.#pending.size > 0 || this.#closed) return
    this.#idle = setTimeout(() => this.#retire(), this.#idleMs).unref()
  }

  /** Lets an idle thread go; the next pass starts another. */
  #retire(): void {
    this.#worker?.postMessage({ type: 'stop' } satisfies ToReference)
    this.#worker = null
  }

  #onEnd(worker: Worker, cause: Error): void {
    if (this.#worker !== worker) return
    this.#worker = null
    const error = this.#closed
      ? stopping()
      : new TroupeError('internal', 'the merged reference could not be computed: its thread ended', { cause })
    for (const pending of this.#pending.values()) pending.reject(error)
    this.#pending.clear()
  }
}

function stopping(): TroupeError {
  return new TroupeError('not_ready', 'the server is stopping')
}
