import { TroupeError } from '../core/errors.ts'
import { FairQueue } from './fair-queue.ts'
import type { FairQueueLimits, Ticket } from './fair-queue.ts'

export interface AdmissionLimits extends FairQueueLimits {
  /** Requests one tenant may have open at once; null = no limit. */
  readonly maxRequestsPerTenant: number | null
}

/** One request's hold on its tenant's quota and on its sequences' places. */
export interface Pass {
  /** Milliseconds the first sequence waited for its place so far. */
  readonly queueMs: number
  /** Whether the first sequence waits for its place. */
  readonly waits: boolean
  /** Resolves when sequence `index` may enter the engine. Rejects with the signal's reason when that aborts first. */
  turn(index: number, signal: AbortSignal): Promise<void>
  /** Frees the place of one sequence. Idempotent. */
  done(index: number): void
  /** Frees everything. Idempotent. */
  leave(): void
}

/** Numbers for the metrics. */
export interface AdmissionStats {
  readonly waiting: number
  readonly running: number
  readonly requests: number
}

interface Waiter {
  resolve(): void
  reject(reason: Error): void
}

/** Assumed until the first sequence has ended, in seconds. */
const FIRST_GUESS_SECONDS = 1
const MAX_RETRY_AFTER_SECONDS = 60

/** The bounded, fair way into the engine: refuses at once what cannot be taken in, lets the rest in by turns. */
export class Admission {
  readonly #queue: FairQueue
  readonly #maxPerTenant: number | null
  readonly #perTenantLimit: (tenant: string) => number | null
  readonly #open = new Map<string, number>()
  readonly #waiters = new Map<Ticket, Waiter>()
  #secondsPerSequence = FIRST_GUESS_SECONDS

  /** `perTenantLimit` overrules `maxRequestsPerTenant` for single tenants; null = the common limit. */
  constructor(limits: AdmissionLimits, perTenantLimit: (tenant: string) => number | null = () => null) {
    this.#queue = new FairQueue(limits)
    this.#maxPerTenant = limits.maxRequestsPerTenant
    this.#perTenantLimit = perTenantLimit
  }

  /**
   * Takes a request with `sequences` sequences in, whole or not at all.
   * Throws `rate_limit_exceeded` when the tenant has too many open requests, `overloaded` when the queue is full,
   * `invalid_request` when the request could never be taken in.
   */
  enter(tenant: string, sequences: number): Pass {
    const { places, maxWaiting } = this.#queue.limits
    if (sequences > places + maxWaiting)
      throw new TroupeError(
        'invalid_request',
        `the request asks for ${sequences} sequences, the queue takes ${places + maxWaiting}: send fewer prompts at once`,
      )
    const open = this.#open.get(tenant) ?? 0
    const limit = this.#perTenantLimit(tenant) ?? this.#maxPerTenant
    if (limit !== null && open >= limit)
      throw new TroupeError(
        'rate_limit_exceeded',
        `tenant "${tenant}" has ${open} requests open, the setting \`tenantConcurrency\` allows ${limit}`,
        {
          retryAfterSeconds: this.#retryAfter(1),
        },
      )
    if (!this.#queue.hasRoom(sequences))
      throw new TroupeError(
        'overloaded',
        `the queue is full: ${this.#queue.waiting} sequences wait, the setting \`queueLimit\` allows ${maxWaiting}`,
        {
          retryAfterSeconds: this.#retryAfter(this.#queue.waiting),
        },
      )
    this.#open.set(tenant, open + 1)
    const tickets = Array.from({ length: sequences }, () => this.#queue.join(tenant))
    this.#grantAll()
    return this.#pass(tenant, tickets)
  }

  /** Whether a sequence more could run now without anybody having to wait for it. */
  get hasFreePlace(): boolean {
    return this.#queue.waiting === 0 && this.#queue.running < this.#queue.limits.places
  }

  stats(): AdmissionStats {
    let requests = 0
    for (const open of this.#open.values()) requests += open
    return { waiting: this.#queue.waiting, running: this.#queue.running, requests }
  }

  /** Sequences of each tenant that has any. */
  tenants(): ReadonlyMap<string, { readonly waiting: number; readonly running: number }> {
    return this.#queue.byTenant()
  }

  /** Throws when the books do not agree with themselves. */
  checkIntegrity(): void {
    this.#queue.checkIntegrity()
    for (const [tenant, open] of this.#open)
      if (open <= 0) throw new Error(`admission: ${tenant} has ${open} open requests`)
    for (const ticket of this.#waiters.keys())
      if (ticket.state !== 'waiting') throw new Error(`admission: a ticket ${ticket.state} is waited for`)
  }

  #pass(tenant: string, tickets: readonly Ticket[]): Pass {
    const entered = performance.now()
    const startedAt = new Map<Ticket, number>()
    let firstTurnAt: number | null = null
    let left = false
    const at = (index: number): Ticket => {
      const ticket = tickets[index]
      if (!ticket) throw new RangeError(`no sequence ${index} in this request`)
      return ticket
    }
    const done = (ticket: Ticket): void => {
      const started = startedAt.get(ticket)
      if (started !== undefined && ticket.state === 'running') this.#learn((performance.now() - started) / 1000)
      this.#queue.leave(ticket)
      this.#waiters.get(ticket)?.reject(new Error('admission: the request has left the queue'))
      this.#grantAll()
    }
    return {
      get queueMs() {
        return (firstTurnAt ?? performance.now()) - entered
      },
      get waits() {
        return at(0).state === 'waiting'
      },
      turn: async (index, signal) => {
        const ticket = at(index)
        await this.#waitFor(ticket, signal)
        startedAt.set(ticket, performance.now())
        firstTurnAt ??= performance.now()
      },
      done: (index) => done(at(index)),
      leave: () => {
        if (left) return
        left = true
        for (const ticket of tickets) done(ticket)
        const open = (this.#open.get(tenant) ?? 1) - 1
        if (open > 0) this.#open.set(tenant, open)
        else this.#open.delete(tenant)
      },
    }
  }

  async #waitFor(ticket: Ticket, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (ticket.state === 'running') return
    if (ticket.state === 'left') throw new Error('admission: the request has left the queue')
    await new Promise<void>((resolve, reject) => {
      const settled = (): void => {
        signal.removeEventListener('abort', onAbort)
        this.#waiters.delete(ticket)
      }
      const waiter: Waiter = {
        resolve: () => {
          settled()
          resolve()
        },
        reject: (reason) => {
          settled()
          reject(reason)
        },
      }
      const onAbort = (): void => {
        this.#queue.leave(ticket)
        waiter.reject(signal.reason as Error)
      }
      signal.addEventListener('abort', onAbort, { once: true })
      this.#waiters.set(ticket, waiter)
    })
  }

  #grantAll(): void {
    for (let ticket = this.#queue.grant(); ticket; ticket = this.#queue.grant()) this.#waiters.get(ticket)?.resolve()
  }

  /** Exponential mean of how long a sequence holds its place: the base of `Retry-After`. */
  #learn(seconds: number): void {
    this.#secondsPerSequence += 0.1 * (seconds - this.#secondsPerSequence)
  }

  #retryAfter(waiting: number): number {
    const seconds = (Math.max(1, waiting) / this.#queue.limits.places) * this.#secondsPerSequence
    return Math.min(MAX_RETRY_AFTER_SECONDS, Math.max(1, Math.ceil(seconds)))
  }
}
