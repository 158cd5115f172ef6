import { setTimeout as sleep } from 'node:timers/promises'
import type { ErrorCode } from '../core/errors.ts'
import { TroupeError, messageOf } from '../core/errors.ts'
import type { RunParts } from '../generation/run.ts'
import { isStale, newTag } from '../store/filesystem/process-tag.ts'
import type { Journal } from '../store/journal.ts'
import type { Store } from '../store/port.ts'
import type { ServerLeases } from '../store/server-leases.ts'
import { Answers } from './answers.ts'
import type { Evaluations } from './evaluations.ts'
import type { ItemAnswer, Preparation } from './item-run.ts'
import { prepare, runItem } from './item-run.ts'
import type { Evaluation } from './record.ts'
import { resultOf } from './result.ts'
import type { Item } from './set.ts'

/** Items of an evaluation that are in the engine at once. */
const CONCURRENCY = 4
/** Between two looks for work that another server left behind. */
const LOOK_MS = 5_000
const RETRY_MS = 1_000
const MOST_RETRIES = 3

/** The server has no room now, or starts its engine anew: the item is tried again for as long as it takes. */
const BUSY: readonly ErrorCode[] = ['overloaded', 'rate_limit_exceeded', 'not_ready']
/** A fault that may be gone the next time. */
const FAULTS: readonly ErrorCode[] = ['engine_failed', 'internal', 'storage_error']
/** No item of the mix can be run. */
const FATAL: readonly ErrorCode[] = [
  'version_not_found',
  'version_deleted',
  'adapter_not_found',
  'adapter_not_ready',
  'digest_mismatch',
]

/** Where evaluations are known and kept. */
export interface EvaluationHost {
  readonly evaluations: Evaluations
  readonly journal: Journal
  readonly store: Store
  readonly leases: ServerLeases
}

export interface EvaluationRunsParts extends RunParts, EvaluationHost {
  /** Id of this server. */
  readonly server: string
}

interface Current {
  readonly id: string
  readonly controller: AbortController
  readonly total: number
  answers: Answers | null
}

/** Works on the evaluations of the store: one at a time, in the background of all requests, and on with those that a dead server left. */
export class EvaluationRuns {
  readonly #parts: EvaluationRunsParts
  /** Of this process: as long as it lives, nobody takes its work. */
  readonly #process = newTag()
  readonly #stopping = new AbortController()
  #wake = new AbortController()
  #current: Current | null = null
  #loop: Promise<void> | null = null

  constructor(parts: EvaluationRunsParts) {
    this.#parts = parts
  }

  /** To be called once. */
  start(): void {
    this.#parts.journal.onRecord(({ type, data }) => {
      const { id } = data as { readonly id?: string }
      if (type === 'evaluation.created') this.#wake.abort()
      if (type !== 'evaluation.ended' && type !== 'evaluation.deleted') return
      if (this.#current?.id === id) this.#current?.controller.abort(new Error('the evaluation was ended'))
    })
    this.#loop = this.#work()
  }

  /** Leaves what runs as it is, to be gone on with later. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error('the server is stopping'))
    await this.#loop
  }

  /** How many answers there are of how many; `done` is null where another server counts. */
  progress({ spec, end }: Evaluation): { readonly done: number | null; readonly total: number } {
    const total = spec.mixes.length * spec.set.items
    if (end?.status === 'done') return { done: total, total }
    if (this.#current?.id === spec.id) return { done: this.#current.answers?.count ?? 0, total }
    return { done: null, total }
  }

  async #work(): Promise<void> {
    const { log } = this.#parts
    const { signal } = this.#stopping
    await this.#forgetDeleted().catch((error: unknown) => log.warn({ err: error }, 'old answers could not be removed'))
    while (!signal.aborted) {
      const wake = (this.#wake = new AbortController())
      try {
        const next = await this.#next()
        if (next) await this.#run(next)
        else await sleep(LOOK_MS, undefined, { signal: AbortSignal.any([signal, wake.signal]) }).catch(() => undefined)
      } catch (error) {
        if (signal.aborted) return
        log.warn({ err: error }, 'an evaluation was interrupted; it goes on later')
        await sleep(LOOK_MS, undefined, { signal }).catch(() => undefined)
      }
    }
  }

  /** The oldest evaluation that waits, or whose server is gone. */
  async #next(): Promise<Evaluation | null> {
    const { evaluations, leases, engine } = this.#parts
    const open = [...evaluations.state.values()].filter(
      ({ end, spec }) => !end && spec.base.fingerprint === engine.info.fingerprint,
    )
    if (open.length === 0) return null
    const live = new Set((await leases.others()).map((lease) => lease?.server))
    const isFree = ({ worker }: Evaluation): boolean =>
      worker === null ||
      worker.process === this.#process ||
      isStale(worker.process, 0, Infinity) ||
      // What one of them says could not be read: it may be that one.
      (worker.server !== this.#parts.server && !live.has(worker.server) && !live.has(undefined))
    return open.find(isFree) ?? null
  }

  async #run(evaluation: Evaluation): Promise<void> {
    const { evaluations, journal, log, server, metrics } = this.#parts
    const { spec, worker } = evaluation
    const { id } = spec
    if (worker?.process !== this.#process) {
      const claim = { id, server, process: this.#process, from: worker?.process ?? null }
      await journal.append({ type: 'evaluation.claimed', data: claim }, { by: 'evaluations' })
    }
    const controller = new AbortController()
    const total = spec.mixes.length * spec.set.items
    const current: Current = (this.#current = { id, controller, total, answers: null })
    const signal = AbortSignal.any([controller.signal, this.#stopping.signal])
    try {
      const end = await this.#endOf(evaluation, current, signal)
      await evaluations.end(id, end, { by: 'evaluations' })
      metrics.evaluationEnded(end.status)
      log.info({ evaluation: id, status: end.status, reason: end.reason }, 'evaluation ended')
    } catch (error) {
      if (!controller.signal.aborted) throw error
      // It was cancelled or deleted; one that is gone leaves nothing.
      metrics.evaluationEnded('cancelled')
      if (!evaluations.state.has(id)) await Answers.remove(this.#parts.store, id)
    } finally {
      this.#current = null
    }
  }

  async #endOf(
    { spec }: Evaluation,
    current: Current,
    signal: AbortSignal,
  ): Promise<Parameters<Evaluations['end']>[1]> {
    const { evaluations } = this.#parts
    try {
      const { items } = await evaluations.readSet(spec)
      const answers = (current.answers = await evaluations.readAnswers(spec.id))
      const preparation = await prepare(this.#parts, spec)
      await this.#answerAll(preparation, items, answers, signal)
      return { status: 'done', reason: null, result: await resultOf(spec, items, answers) }
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof TroupeError) || error.code === 'storage_error') throw error
      return { status: 'failed', reason: `${error.code}: ${error.message}`, result: null }
    }
  }

  /** Neighbours are the mixes of one item: they share a batch. */
  async #answerAll(
    preparation: Preparation,
    items: readonly Item[],
    answers: Answers,
    signal: AbortSignal,
  ): Promise<void> {
    const { mixes } = preparation.spec
    const failed = new AbortController()
    const either = AbortSignal.any([signal, failed.signal])
    let next = 0
    const work = async (): Promise<void> => {
      try {
        while (next < items.length * mixes.length) {
          const [index, mix] = [Math.floor(next / mixes.length), next % mixes.length]
          next++
          if (answers.of(mix, index)) continue
          either.throwIfAborted()
          await answers.add(await this.#answer(preparation, { item: items[index]!, index, mix }, either))
        }
      } catch (error) {
        failed.abort(error)
        throw error
      }
    }
    const results = await Promise.allSettled(Array.from({ length: CONCURRENCY }, work))
    await answers.save()
    const rejected = results.find((result) => result.status === 'rejected')
    if (rejected) throw rejected.reason
  }

  /** Tries again what may go better; what the item itself is to blame for becomes an answer that failed. */
  async #answer(
    preparation: Preparation,
    place: Parameters<typeof runItem>[2],
    signal: AbortSignal,
  ): Promise<ItemAnswer> {
    for (let faults = 0; ;) {
      try {
        return await runItem(this.#parts, preparation, place, signal)
      } catch (error) {
        signal.throwIfAborted()
        const code: ErrorCode = error instanceof TroupeError ? error.code : 'internal'
        if (FATAL.includes(code)) throw error
        if (FAULTS.includes(code)) faults++
        if (!BUSY.includes(code) && (!FAULTS.includes(code) || faults > MOST_RETRIES)) return failure(place, error)
        const seconds = error instanceof TroupeError ? error.retryAfterSeconds : undefined
        await sleep(seconds === undefined ? RETRY_MS : seconds * 1000, undefined, { signal }).catch(() => undefined)
        signal.throwIfAborted()
      }
    }
  }

  /** Answers of evaluations that were deleted while their server died. */
  async #forgetDeleted(): Promise<void> {
    const { store, evaluations } = this.#parts
    for (const id of await Answers.ids(store)) if (!evaluations.state.has(id)) await Answers.remove(store, id)
  }
}

function failure({ index, mix }: Parameters<typeof runItem>[2], error: unknown): ItemAnswer {
  const none = { text: null, tokens: 0, seconds: 0, likelihood: null, choice: null }
  return { mix, item: index, ...none, error: messageOf(error) }
}
