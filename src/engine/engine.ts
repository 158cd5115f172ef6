import { setTimeout as delay } from 'node:timers/promises'
import type { AdapterWeights } from '../core/branch.ts'
import { TroupeError } from '../core/errors.ts'
import type { GenerationEvent, GenerationRequest } from '../core/generation.ts'
import type { DeviceFacts, DeviceResidents, EngineOptions, EngineStats } from '../core/messages.ts'
import type { ModelInfo } from '../core/model-info.ts'
import { threadEntry } from '../core/thread.ts'
import { EngineThread } from './engine-thread.ts'
import { EventQueue } from './event-queue.ts'
import type { ReadWeights } from './held-versions.ts'
import { HeldVersions } from './held-versions.ts'
import { SequenceStream } from './sequence-stream.ts'

/** What the residency needs of the engine: where versions become available for requests. */
export interface AdapterHost {
  readonly info: ModelInfo
  /** Tokens of one sequence that there is room for, virtual ones included. */
  readonly maxContext: number
  /**
   * Copies a version into the device's memory, for requests that name it; they wait until it is there. Once that is so nothing reads the given arrays any more.
   * Idempotent per digest.
   *
   * @param again reads the version once more, for an engine that had to start anew; without it the weights are kept for that
   * @returns bytes that it takes there
   * @throws Error why the device does not take it
   */
  hold(weights: AdapterWeights, again?: ReadWeights): Promise<number>
  /** Forgets a version. It is freed once no request uses it. */
  drop(digest: string): void
  /** What is in the device's memory now. */
  residents?(): Promise<DeviceResidents>
  generate(request: GenerationRequest, signal?: AbortSignal): AsyncIterable<GenerationEvent>
}

/** Starts that fail in a row before the engine gives up. */
const MOST_RESTARTS = 5
const RESTART_PAUSE_MS = 200
/** A thread that lived this long was started well. */
const SETTLED_MS = 60_000

/** How an engine is started. */
export interface StartOptions extends EngineOptions {
  /** What clients call the model; without it the name the model was prepared under. */
  readonly name?: string
  /** The thread's file, for tests. */
  readonly entry?: URL
}

/** The main thread's side of the engine. A thread that dies is replaced by a new one, which gets the same versions. */
export class Engine implements AdapterHost {
  readonly info: ModelInfo
  readonly maxContext: number
  readonly device: DeviceFacts
  /** Resolves when the thread died and could not be replaced; the process can then only restart. */
  readonly crashed: Promise<Error>

  /** Called with what went wrong when a step failed or the thread died; the requests in it have got their error already. */
  onFault: (message: string) => void = () => {}

  readonly #options: StartOptions
  readonly #held = new HeldVersions((weights) => this.#current().hold(weights))
  /** Null while a new one is being started. */
  #thread: EngineThread | null
  #stopping = false
  #restarts = 0
  #refusal: TroupeError | null = null

  private constructor(thread: EngineThread, options: StartOptions) {
    this.#thread = thread
    this.#options = options
    this.maxContext = options.maxContext
    this.device = thread.device
    this.info = { ...thread.info, name: options.name ?? thread.info.name }
    this.crashed = this.#watch(thread)
  }

  /** Starts the thread and waits until the device is open. Throws as `EngineThread.start`. */
  static async start(options: StartOptions): Promise<Engine> {
    return new Engine(await startThread(options), options)
  }

  /** How often the thread was replaced. */
  get restarts(): number {
    return this.#restarts
  }

  async hold(weights: AdapterWeights, again: ReadWeights = () => Promise.resolve(weights)): Promise<number> {
    return this.#held.hold(weights, again)
  }

  drop(digest: string): void {
    if (this.#held.drop(digest)) this.#thread?.drop(digest)
  }

  /** From now on every request gets this error; those that run go on. */
  refuse(refusal: TroupeError): void {
    this.#refusal = refusal
  }

  /** Runs one sequence. Leaving the loop early or aborting the signal cancels it; an abort still gives `finish` with reason `cancelled`. */
  generate(request: GenerationRequest, signal?: AbortSignal): AsyncIterable<GenerationEvent> {
    return this.generateEach(request, 1, signal)[0]!
  }

  /**
   * Runs `count` sequences that share one prompt, which is evaluated once. The first has the request's seed, the next ones have seeds one larger each.
   * All of them are to be read or left.
   */
  generateEach(request: GenerationRequest, count: number, signal?: AbortSignal): SequenceStream[] {
    const queues = Array.from({ length: count }, () => new EventQueue<GenerationEvent>())
    const left = queues.map(() => false)
    let ids: readonly number[] | null = null
    let thread: EngineThread | null = null
    const cancel = (index: number): void => {
      left[index] = true
      if (ids !== null) thread!.cancel(ids[index]!)
    }
    const onAbort = (): void => queues.forEach((_, index) => cancel(index))
    if (signal?.aborted) onAbort()
    signal?.addEventListener('abort', onAbort, { once: true })
    const submit = async (): Promise<void> => {
      try {
        if (this.#refusal !== null) throw this.#refusal
        await this.#held.ready(request.mix)
        thread = this.#current()
        ids = thread.submit(request, queues)
        for (const [index, isLeft] of left.entries()) if (isLeft) thread.cancel(ids[index]!)
      } catch (error) {
        const { message } = error as Error
        const code = error instanceof TroupeError ? error.code : 'engine_failed'
        for (const queue of queues) queue.push({ type: 'finish', reason: 'error', code, message })
      }
    }
    void submit()
    let open = count
    return queues.map(
      (queue, index) =>
        new SequenceStream(
          queue,
          () => cancel(index),
          () => {
            if (--open === 0) signal?.removeEventListener('abort', onAbort)
          },
        ),
    )
  }

  /** Rejects while the engine is starting anew or stopping, as the two below. */
  async stats(): Promise<EngineStats> {
    return this.#current().ask('stats')
  }

  /** What is in the device's memory. */
  async residents(): Promise<DeviceResidents> {
    return this.#current().ask('residents')
  }

  /**
   * Looks, between two steps, whether sequences, pages and versions agree. For tests: it takes time.
   *
   * @throws Error naming what contradicts itself, or why the engine cannot answer
   */
  async checkIntegrity(): Promise<void> {
    const contradiction = await this.#current().ask('contradiction')
    if (contradiction !== null) throw new Error(`engine: ${contradiction}`)
  }

  /** Cancels what runs and ends the thread. */
  async stop(): Promise<void> {
    this.#stopping = true
    await this.#thread?.stop()
  }

  #current(): EngineThread {
    if (this.#stopping) throw new TroupeError('not_ready', 'the server is stopping')
    if (this.#thread !== null) return this.#thread
    throw new TroupeError('not_ready', 'the engine is starting anew; repeat the request', { retryAfterSeconds: 2 })
  }

  /** Replaces the thread for as long as that succeeds. */
  async #watch(first: EngineThread): Promise<Error> {
    let thread = first
    for (let failures = 0; ;) {
      thread.onFault = (message) => this.onFault(message)
      const began = performance.now()
      const error = await thread.ended
      if (error === null) return new Promise(() => {})
      this.#thread = null
      this.onFault(`the engine thread died: ${error.message}`)
      failures = performance.now() - began > SETTLED_MS ? 1 : failures + 1
      if (failures > MOST_RESTARTS) return error
      const next = await this.#restart(failures * RESTART_PAUSE_MS)
      if (next instanceof Error) return next
      thread = next
    }
  }

  /** A new thread with the versions of the old one: requests for those that are not back yet wait for them. */
  async #restart(pauseMs: number): Promise<EngineThread | Error> {
    await delay(pauseMs)
    if (this.#stopping) return new Promise(() => {})
    try {
      const thread = await startThread(this.#options)
      this.#thread = thread
      this.#restarts++
      this.#held.restore((digest, { message }) => this.onFault(`${digest} could not be brought back: ${message}`))
      if (this.#stopping) await thread.stop()
      return thread
    } catch (error) {
      return error as Error
    }
  }
}

async function startThread(options: StartOptions): Promise<EngineThread> {
  const { entry = threadEntry(import.meta.url, 'worker'), ...plain } = options
  return EngineThread.start(plain, entry)
}
