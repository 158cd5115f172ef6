import { Worker } from 'node:worker_threads'
import type { AdapterWeights } from '../core/branch.ts'
import { TroupeError } from '../core/errors.ts'
import type { GenerationEvent, GenerationRequest } from '../core/generation.ts'
import type { Answers, DeviceFacts, EngineOptions, FromEngine, Question, ToEngine } from '../core/messages.ts'
import type { ModelInfo } from '../core/model-info.ts'
import type { EventQueue } from './event-queue.ts'

interface Waiter {
  readonly resolve: (value: never) => void
  readonly reject: (error: Error) => void
}

/** One engine thread from its start to its end: typed messages there and back. */
export class EngineThread {
  readonly info: ModelInfo
  readonly device: DeviceFacts
  /** Resolves when the thread ended: null when it was asked to, else with what went wrong. */
  readonly ended: Promise<Error | null>
  /** Called with what went wrong when a step failed; the requests in it have got their error already. */
  onFault: (message: string) => void = () => {}

  readonly #worker: Worker
  readonly #streams = new Map<number, EventQueue<GenerationEvent>>()
  readonly #waiters = new Map<number, Waiter>()
  #nextId = 1
  #over: Error | null = null
  #stopping = false

  private constructor(worker: Worker, { info, device }: Extract<FromEngine, { type: 'ready' }>) {
    this.#worker = worker
    this.info = info
    this.device = device
    worker.on('message', (message: FromEngine) => this.#onMessage(message))
    this.ended = new Promise((resolve) => {
      const onEnd = (error: Error): void => {
        if (this.#over !== null) return
        this.#end(this.#stopping ? new TroupeError('not_ready', 'the server is stopping') : error)
        resolve(this.#stopping ? null : error)
      }
      worker.on('error', onEnd)
      worker.on('exit', (code) => onEnd(new Error(`the engine thread ended with code ${code}`)))
    })
  }

  /**
   * Starts the thread and waits until the device is open.
   *
   * @throws TroupeError `device_unavailable` for what the machine lacks; Error for anything else that went wrong in there
   */
  static async start(options: EngineOptions, entry: URL): Promise<EngineThread> {
    const worker = new Worker(entry, { workerData: options, name: 'troupe-engine' })
    return new Promise<EngineThread>((resolve, reject) => {
      const onExit = (code: number): void =>
        reject(new Error(`the engine thread ended with code ${code} while starting`))
      worker.once('error', reject)
      worker.once('exit', onExit)
      worker.once('message', (message: FromEngine) => {
        worker.off('error', reject)
        worker.off('exit', onExit)
        if (message.type === 'ready') resolve(new EngineThread(worker, message))
        else reject(startError(message))
      })
    })
  }

  /** @returns bytes that the version takes in the device's memory @throws Error why the device does not take it */
  async hold(weights: AdapterWeights): Promise<number> {
    return this.#call((id) => ({ type: 'hold', id, weights }))
  }

  drop(digest: string): void {
    this.#send({ type: 'drop', digest })
  }

  async ask<Q extends Question>(question: Q): Promise<Answers[Q]> {
    return this.#call((id) => ({ type: 'ask', id, question }))
  }

  /** Runs a sequence for each of the queues, all with the same prompt. @returns their ids, for `cancel` */
  submit(request: GenerationRequest, queues: readonly EventQueue<GenerationEvent>[]): readonly number[] {
    const ids = queues.map((queue) => {
      const id = this.#nextId++
      this.#streams.set(id, queue)
      return id
    })
    this.#send({ type: 'submit', ids, request })
    return ids
  }

  /** Nothing more comes into its queue. */
  cancel(id: number): void {
    if (this.#streams.has(id)) this.#send({ type: 'cancel', id })
  }

  /** Cancels what runs and ends the thread by a message: `terminate()` within a step would abort the process. */
  async stop(): Promise<void> {
    if (!this.#stopping) this.#send({ type: 'stop' })
    this.#stopping = true
    await this.ended
  }

  async #call<T>(messageOf: (id: number) => ToEngine): Promise<T> {
    if (this.#over !== null) throw this.#over
    if (this.#stopping) throw new TroupeError('not_ready', 'the server is stopping')
    const id = this.#nextId++
    return new Promise<T>((resolve, reject) => {
      // The thread answers the call of this number with what it asks for.
      this.#waiters.set(id, { resolve, reject })
      this.#send(messageOf(id))
    })
  }

  #send(message: ToEngine): void {
    this.#worker.postMessage(message)
  }

  #settle(id: number, settle: (waiter: Waiter) => void): void {
    const waiter = this.#waiters.get(id)
    this.#waiters.delete(id)
    if (waiter !== undefined) settle(waiter)
  }

  #onMessage(message: FromEngine): void {
    switch (message.type) {
      case 'events':
        for (const { id, event } of message.events) {
          this.#streams.get(id)?.push(event)
          if (event.type === 'finish') this.#streams.delete(id)
        }
        return
      case 'held':
        this.#settle(message.id, ({ resolve }) => resolve(message.bytes as never))
        return
      case 'answer':
        this.#settle(message.id, ({ resolve }) => resolve(message.answer as never))
        return
      case 'refused':
        this.#settle(message.id, ({ reject }) => reject(new Error(message.message)))
        return
      case 'fault':
        this.onFault(message.message)
        return
      case 'stopped':
        return
      case 'ready':
      case 'failed':
        throw new Error(`unexpected ${message.type} from the engine thread`)
    }
  }

  #end(error: Error): void {
    this.#over = error
    const message = `the engine stopped while the request ran (${error.message}); a new one is being started: send the request again`
    for (const stream of this.#streams.values())
      stream.push(
        this.#stopping
          ? { type: 'finish', reason: 'cancelled' }
          : { type: 'finish', reason: 'error', code: 'engine_failed', message },
      )
    this.#streams.clear()
    for (const { reject } of this.#waiters.values()) reject(error)
    this.#waiters.clear()
  }
}

function startError(message: Exclude<FromEngine, { type: 'ready' }>): Error {
  if (message.type !== 'failed') return new Error(`unexpected ${message.type} from the engine thread`)
  return message.isDevice ? new TroupeError('device_unavailable', message.message) : new Error(message.message)
}
