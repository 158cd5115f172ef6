import { Worker } from 'node:worker_threads'
import { TroupeError } from '../core/errors.ts'
import type { Log } from '../core/log.ts'
import { threadEntry } from '../core/thread.ts'
import type { PreparedModel } from '../model/prepared.ts'
import type { VerifiedModel } from '../model/verify-weights.ts'
import type { FromVerifier } from '../model/verify-worker.ts'

/** A start has other things to read, and commands that are done by then need no look. */
const PAUSE_MS = 2000
/** Tensors that a message names; the log has all. */
const MOST_NAMED = 8

/**
 * One look at the bytes of the weights, in the background, once the server has started. Tensors that are not what was prepared would make every answer
 * wrong without a word: from then on the server is not ready and takes no requests, and its next start prepares the model anew.
 */
export class WeightsCheck {
  readonly #log: Log
  readonly #onDamage: (refusal: TroupeError) => void
  readonly #model: VerifiedModel
  readonly #timer: NodeJS.Timeout
  #worker: Worker | null = null
  #checkedBytes = 0
  #damaged: readonly string[] = []
  #trouble: string | null = null

  /** @param onDamage called once, with what requests are to be refused with */
  constructor(
    { dir, manifest }: PreparedModel,
    log: Log,
    onDamage: (refusal: TroupeError) => void,
    pauseMs = PAUSE_MS,
  ) {
    const { tensors, digests } = manifest
    this.#model = { dir, manifest: { tensors, digests } }
    this.#log = log
    this.#onDamage = onDamage
    this.#timer = setTimeout(() => this.#start(), pauseMs).unref()
  }

  /** Bytes that were compared so far. */
  get checkedBytes(): number {
    return this.#checkedBytes
  }

  /** Tensors that differ. */
  get damaged(): readonly string[] {
    return this.#damaged
  }

  /** Why the bytes could not be compared; null = they could, or will be. */
  get trouble(): string | null {
    return this.#trouble
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer)
    await this.#worker?.terminate()
  }

  #start(): void {
    const entry = threadEntry(import.meta.url, '../model/verify-worker')
    const worker = new Worker(entry, { workerData: this.#model, name: 'troupe-verifier' })
    worker.on('message', (message: FromVerifier) => this.#onMessage(message))
    worker.on('error', (error) => this.#fail(error.message))
    worker.on('exit', () => (this.#worker = null))
    worker.unref()
    this.#worker = worker
  }

  #onMessage(message: FromVerifier): void {
    if (message.type === 'progress') this.#checkedBytes += message.bytes
    else if (message.type === 'failed') this.#fail(message.message)
    else this.#end(message.damaged)
  }

  #fail(message: string): void {
    this.#trouble = message
    this.#log.warn(
      { folder: this.#model.dir, message },
      'the prepared weights could not be compared with their digests',
    )
  }

  #end(damaged: readonly string[]): void {
    this.#damaged = damaged
    if (damaged.length === 0) return
    const folder = this.#model.dir
    this.#log.error(
      { folder, damaged },
      'prepared weights have changed on disk: the next start prepares the model anew',
    )
    this.#onDamage(new TroupeError('not_ready', damageText(damaged)))
  }
}

/** What clients and probes are told of damaged weights. */
export function damageText(damaged: readonly string[]): string {
  const named = damaged.slice(0, MOST_NAMED).join(', ')
  const more = damaged.length > MOST_NAMED ? ` and ${damaged.length - MOST_NAMED} more` : ''
  return `the base model’s prepared weights have changed on disk (${named}${more}): restart the server, which prepares them anew`
}
