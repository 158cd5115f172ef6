import { Worker } from 'node:worker_threads'
import type { AdapterWeights } from '../core/branch.ts'
import { TroupeError } from '../core/errors.ts'
import type { GenerationEvent, GenerationRequest } from '../core/generation.ts'
import type { Answers, BankResidents, EngineOptions, EngineStats } from '../core/messages.ts'
import type { FromEngine, Question, ToEngine } from '../core/messages.ts'
import type { ModelInfo } from '../core/model-info.ts'
import { threadEntry } from '../core/thread.ts'
import { EventQueue } from './event-queue.ts'

/** What the residency needs of the engine: where versions become available for requests. */
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

interface Waiter {
  readonly resolve: (answer: Answers[Question]) => void
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
  readonly #waiters = new Map<number, Waiter>()
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
        for (const { reject } of this.#waiters.values()) reject(error)
        this.#waiters.clear()
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

  /** Rejects when the engine has crashed or is stopping, as the two below. */
  async stats(): Promise<EngineStats> {
    return this.#ask('stats')
  }

  /** What is in the bank. */
  async residents(): Promise<BankResidents> {
    return this.#ask('residents')
  }

  /**
   * Looks, between two steps, whether rows, bank and held versions agree. For tests: it takes time.
   *
   * @throws Error naming what contradicts itself, or why the engine cannot answer
   */
  async checkIntegrity(): Promise<void> {
    const contradiction = await this.#ask('contradiction')
    if (contradiction !== null) throw new Error(`engine: ${contradiction}`)
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

  async #ask<Q extends Question>(question: Q): Promise<Answers[Q]> {
    if (this.#crash) throw this.#crash
    if (this.#stopped) throw new TroupeError('not_ready', 'the server is stopping')
    const id = this.#nextId++
    return new Promise((resolve, reject) => {
      // The thread answers the question of this number.
      this.#waiters.set(id, { resolve: (answer) => resolve(answer as Answers[Q]), reject })
      this.#send({ type: 'ask', id, question })
    })
  }

  #send(message: ToEngine): void {
    this.#worker.postMessage(message)
  }

  #onMessage(message: FromEngine): void {
    switch (message.type) {
      case 'events':
        for (const { id, event } of message.events) this.#streams.get(id)?.push(event)
        return
      case 'answer':
        this.#waiters.get(message.id)?.resolve(message.answer)
        this.#waiters.delete(message.id)
        return
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
