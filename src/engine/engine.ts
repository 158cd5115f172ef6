import { Worker } from 'node:worker_threads'
import type { AdapterWeights } from '../core/branch.ts'
import { TroupeError } from '../core/errors.ts'
import type { GenerationEvent, GenerationRequest } from '../core/generation.ts'
import type { BankResidents, EngineOptions, EngineStats, FromEngine, ToEngine } from '../core/messages.ts'
import type { ModelInfo } from '../core/model-info.ts'
import { threadEntry } from '../core/thread.ts'
import { EventQueue } from './event-queue.ts'

/** What the registry needs of the engine: where versions become available for requests. */
export interface AdapterHost {
  readonly info: ModelInfo
  /** Tokens of one sequence that there is room for, virtual ones included. */
  readonly maxContext: number
  /** Makes a version available to requests. The engine keeps a reference, no copy. Idempotent per digest. */
  hold(weights: AdapterWeights): void
  /** Forgets a version. The caller sees to it that no running or queued request uses it. */
  drop(digest: string): void
  /** Versions to be the last that leave the bank; replaces what was said before. */
  keep?(digests: readonly string[]): void
  /** What is in the bank now. */
  residents?(): Promise<BankResidents>
  generate(request: GenerationRequest, signal?: AbortSignal): AsyncGenerator<GenerationEvent, void, void>
}

interface Waiter<T> {
  readonly resolve: (value: T) => void
  readonly reject: (error: Error) => void
}

/** The main thread's side of the engine thread: typed messages in, streams of events out. */
export class Engine implements AdapterHost {
  readonly info: ModelInfo
  readonly maxContext: number
  /** Whether KV and logits are written in place (see docs/engine.md). */
  readonly inPlace: boolean
  /** Resolves when the thread ended without being asked to; the process can then only restart. */
  readonly crashed: Promise<Error>

  /** Called with what went wrong when a call failed; the requests it ran have got their error already. */
  onFault: (message: string) => void = () => {}

  readonly #worker: Worker
  readonly #streams = new Map<number, EventQueue<GenerationEvent>>()
  readonly #statsWaiters = new Map<number, Waiter<EngineStats>>()
  readonly #bankWaiters = new Map<number, Waiter<BankResidents>>()
  readonly #checkWaiters = new Map<number, Waiter<void>>()
  #nextId = 1
  #crash: Error | null = null
  #stopped: Promise<void> | null = null
  #resolveStopped: (() => void) | null = null

  private constructor(
    worker: Worker,
    ready: Extract<FromEngine, { type: 'ready' }>,
    { maxContext }: EngineOptions,
    name: string,
  ) {
    this.#worker = worker
    this.maxContext = maxContext
    this.info = { ...ready.info, name }
    this.inPlace = ready.inPlace
    worker.on('message', (message: FromEngine) => this.#onMessage(message))
    this.crashed = new Promise((resolve) => {
      const onEnd = (error: Error): void => {
        if (this.#stopped || this.#crash) return
        this.#crash = error
        for (const stream of this.#streams.values())
          stream.push({ type: 'finish', reason: 'error', message: error.message })
        for (const waiters of [this.#statsWaiters, this.#bankWaiters, this.#checkWaiters]) {
          for (const { reject } of waiters.values()) reject(error)
          waiters.clear()
        }
        resolve(error)
      }
      worker.on('error', onEnd)
      worker.on('exit', (code) => onEnd(new Error(`the engine thread ended with code ${code}`)))
    })
  }

  /**
   * Starts the thread and waits until the sessions are built. Throws what went wrong in there.
   * `name` is what clients call the model; without it the name the model was prepared under.
   */
  static async start(options: EngineOptions, name?: string): Promise<Engine> {
    const worker = new Worker(threadEntry(import.meta.url, 'worker'), { workerData: options, name: 'troupe-engine' })
    return new Promise<Engine>((resolve, reject) => {
      const onExit = (code: number): void =>
        reject(new Error(`the engine thread ended with code ${code} while starting`))
      worker.once('error', reject)
      worker.once('exit', onExit)
      worker.once('message', (message: FromEngine) => {
        worker.off('error', reject)
        worker.off('exit', onExit)
        if (message.type === 'ready') resolve(new Engine(worker, message, options, name ?? message.info.name))
        else reject(new Error(message.type === 'failed' ? message.message : `unexpected ${message.type}`))
      })
    })
  }

  hold(weights: AdapterWeights): void {
    this.#send({ type: 'hold', weights })
  }

  drop(digest: string): void {
    this.#send({ type: 'drop', digest })
  }

  keep(digests: readonly string[]): void {
    this.#send({ type: 'keep', digests })
  }

  /**
   * Runs one sequence. Ends after its `finish` event. Leaving the loop early or aborting the signal cancels the sequence
   * (an abort still yields `finish` with reason `cancelled`).
   */
  async *generate(request: GenerationRequest, signal?: AbortSignal): AsyncGenerator<GenerationEvent, void, void> {
    if (this.#stopped) throw new TroupeError('not_ready', 'the server is stopping')
    if (this.#crash)
      throw new TroupeError('not_ready', 'the engine has stopped; the server restarts', { cause: this.#crash })
    const id = this.#nextId++
    const queue = new EventQueue<GenerationEvent>()
    this.#streams.set(id, queue)
    const cancel = (): void => this.#send({ type: 'cancel', id })
    let finished = false
    try {
      this.#send({ type: 'submit', id, request })
      if (signal?.aborted) cancel()
      signal?.addEventListener('abort', cancel)
      for (;;) {
        const event = await queue.next()
        finished = event.type === 'finish'
        yield event
        if (finished) return
      }
    } finally {
      signal?.removeEventListener('abort', cancel)
      this.#streams.delete(id)
      if (!finished) cancel()
    }
  }

  /** Rejects when the engine has crashed. */
  async stats(): Promise<EngineStats> {
    if (this.#crash) throw this.#crash
    const id = this.#nextId++
    return new Promise((resolve, reject) => {
      this.#statsWaiters.set(id, { resolve, reject })
      this.#send({ type: 'stats', id })
    })
  }

  /** What is in the bank. Rejects when the engine has crashed or is stopping. */
  async residents(): Promise<BankResidents> {
    if (this.#crash) throw this.#crash
    if (this.#stopped) throw new TroupeError('not_ready', 'the server is stopping')
    const id = this.#nextId++
    return new Promise((resolve, reject) => {
      this.#bankWaiters.set(id, { resolve, reject })
      this.#send({ type: 'residents', id })
    })
  }

  /**
   * Looks, between two steps, whether rows, bank and held versions agree. For tests: it takes time.
   *
   * @throws Error naming what contradicts itself, or why the engine cannot answer
   */
  async checkIntegrity(): Promise<void> {
    if (this.#crash) throw this.#crash
    if (this.#stopped) throw new TroupeError('not_ready', 'the server is stopping')
    const id = this.#nextId++
    return new Promise((resolve, reject) => {
      this.#checkWaiters.set(id, { resolve, reject })
      this.#send({ type: 'check', id })
    })
  }

  /** Cancels what runs and ends the thread by a message: `terminate()` during a run would abort the process. */
  async stop(): Promise<void> {
    if (this.#crash) return
    this.#stopped ??= new Promise<void>((resolve) => {
      this.#resolveStopped = resolve
      this.#worker.once('exit', () => resolve())
      this.#send({ type: 'stop' })
    })
    return this.#stopped
  }

  #send(message: ToEngine): void {
    this.#worker.postMessage(message)
  }

  #onMessage(message: FromEngine): void {
    switch (message.type) {
      case 'residents':
        this.#bankWaiters.get(message.id)?.resolve(message.bank)
        this.#bankWaiters.delete(message.id)
        return
      case 'events':
        for (const { id, event } of message.events) this.#streams.get(id)?.push(event)
        return
      case 'stats':
        this.#statsWaiters.get(message.id)?.resolve(message.stats)
        this.#statsWaiters.delete(message.id)
        return
      case 'checked': {
        const waiter = this.#checkWaiters.get(message.id)
        this.#checkWaiters.delete(message.id)
        if (message.contradiction === null) waiter?.resolve()
        else waiter?.reject(new Error(`engine: ${message.contradiction}`))
        return
      }
      case 'fault':
        this.onFault(message.message)
        return
      case 'stopped':
        this.#resolveStopped?.()
        return
      case 'ready':
      case 'failed':
        throw new Error(`unexpected ${message.type} from the engine thread`)
    }
  }
}
