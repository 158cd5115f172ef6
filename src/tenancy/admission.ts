import { TroupeError } from '../core/errors.ts'
import type { TenantLimits } from './limits.ts'
import { EVERYONE } from './roles.ts'
import type { QueueLimits, Ticket } from './tenant-queues.ts'
import { TenantQueues } from './tenant-queues.ts'

export interface AdmissionOptions extends QueueLimits {
  /** Requests one tenant may have open where its own limits say nothing; null = no limit. */
  readonly maxRequestsPerTenant: number | null
  /** What a tenant may use; an open server has no tenants and no limits. */
  readonly limitsOf?: (tenant: string) => TenantLimits
}

/** One request's hold on its tenant's quota and on its sequences' places. */
export interface Pass {
  /** Its tenant's share of the steps. */
  readonly weight: number
  /** Aborts, with a TroupeError `overloaded`, when the request is shed while it waits. */
  readonly signal: AbortSignal
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
  /** Requests that were let in, and had to leave the queue for a tenant with fewer. */
  readonly shed: number
}

interface Waiter {
  resolve(): void
  reject(reason: Error): void
}

/** A request that was let in and has not left. */
interface Entry {
  readonly tenant: string
  readonly tickets: readonly Ticket[]
  readonly shedding: AbortController
}

/** Assumed until the first sequence has ended, in seconds. */
const FIRST_GUESS_SECONDS = 1
const MAX_RETRY_AFTER_SECONDS = 60

/**
 * The bounded way into the engine. Refuses at once what cannot be taken in. When all tenants together fill it, whoever uses most for its weight gives
 * way: its newest requests that still wait are shed, and those of others never.
 */
export class Admission {
  readonly #options: AdmissionOptions
  readonly #queues: TenantQueues
  /** In order of arrival. */
  readonly #entries = new Set<Entry>()
  /** How many of them each tenant has, if any. */
  readonly #requests = new Map<string, number>()
  readonly #waiters = new Map<Ticket, Waiter>()
  #secondsPerSequence = FIRST_GUESS_SECONDS
  #shed = 0

  constructor(options: AdmissionOptions) {
    this.#options = options
    this.#queues = new TenantQueues(options)
  }

  /**
   * Takes a request with `sequences` sequences in, whole or not at all.
   *
   * @throws TroupeError `rate_limit_exceeded` when the tenant has too many open requests, `overloaded` when there is no room and no other tenant uses
   *   more, `invalid_request` when the request could never be taken in
   */
  enter(tenant: string, sequences: number): Pass {
    const { capacity } = this.#queues
    if (sequences > capacity)
      throw new TroupeError(
        'invalid_request',
        `the request asks for ${sequences} sequences, the server takes ${capacity}: send fewer prompts at once`,
      )
    this.#checkQuota(tenant)
    for (const entry of this.#giveWay(tenant, sequences)) this.#shedOne(entry)
    const tickets = Array.from({ length: sequences }, () => this.#queues.join(tenant))
    const entry: Entry = { tenant, tickets, shedding: new AbortController() }
    this.#entries.add(entry)
    this.#requests.set(tenant, (this.#requests.get(tenant) ?? 0) + 1)
    this.#grantAll(tenant)
    return this.#pass(entry)
  }

  /** Whether a sequence more could run now without anybody having to wait for it. */
  get hasFreePlace(): boolean {
    return this.#queues.waiting === 0 && this.#queues.running < this.#options.places
  }

  stats(): AdmissionStats {
    const { waiting, running } = this.#queues
    return { waiting, running, requests: this.#entries.size, shed: this.#shed }
  }

  /** Sequences of each tenant that has any. */
  tenants(): ReadonlyMap<string, { readonly waiting: number; readonly running: number }> {
    return this.#queues.byTenant()
  }

  /** Throws when the books do not agree with themselves. */
  checkIntegrity(): void {
    this.#queues.checkIntegrity()
    const { waiting, running } = this.#queues
    const open = [...this.#entries].flatMap(({ tickets }) => tickets.filter(({ state }) => state !== 'left')).length
    if (open !== waiting + running)
      throw new Error(`admission: ${open} sequences are open, ${waiting + running} queued`)
    const requests = [...this.#requests.values()].reduce((sum, count) => sum + count, 0)
    if (requests !== this.#entries.size)
      throw new Error(`admission: ${this.#entries.size} requests are open, ${requests} counted`)
    for (const ticket of this.#waiters.keys())
      if (ticket.state !== 'waiting') throw new Error(`admission: a ticket ${ticket.state} is waited for`)
  }

  #checkQuota(tenant: string): void {
    // On an open server everybody would be one tenant.
    if (tenant === EVERYONE.tenant) return
    const own = this.#limitsOf(tenant).concurrentRequests
    const limit = own ?? this.#options.maxRequestsPerTenant
    if (limit === null) return
    const open = this.#requests.get(tenant) ?? 0
    if (open < limit) return
    const setting = own === undefined ? 'the setting `tenantConcurrency`' : 'its limit `concurrentRequests`'
    throw new TroupeError(
      'rate_limit_exceeded',
      `tenant "${tenant}" has ${open} requests open, ${setting} allows ${limit}`,
      {
        retryAfterSeconds: this.#retryAfter(1),
      },
    )
  }

  /** Requests to be shed so that a tenant's new one has room. @throws TroupeError `overloaded` */
  #giveWay(tenant: string, sequences: number): readonly Entry[] {
    const open = new Map([...this.#queues.byTenant()].map(([name, { waiting, running }]) => [name, waiting + running]))
    open.set(tenant, (open.get(tenant) ?? 0) + sequences)
    let over = [...open.values()].reduce((sum, count) => sum + count, 0) - this.#queues.capacity
    const sheddable = [...this.#entries].filter(({ tickets }) => tickets.every(({ state }) => state === 'waiting'))
    const shed: Entry[] = []
    while (over > 0) {
      const used = (name: string): number => open.get(name)! / this.#weightOf(name)
      // Of equals the newcomer is the one that is refused.
      const heaviest = [...open.keys()].reduce((most, name) => (used(name) > used(most) ? name : most), tenant)
      if (heaviest === tenant) throw this.#full()
      const index = sheddable.findLastIndex((entry) => entry.tenant === heaviest)
      const [entry] = index < 0 ? [] : sheddable.splice(index, 1)
      if (entry === undefined) {
        // All it has is in the engine already.
        open.delete(heaviest)
        continue
      }
      shed.push(entry)
      over -= entry.tickets.length
      open.set(heaviest, open.get(heaviest)! - entry.tickets.length)
    }
    return shed
  }

  #shedOne(entry: Entry): void {
    this.#shed++
    const message = `tenant "${entry.tenant}" uses most of a full queue and another tenant needs room, so its newest request was shed`
    const retryAfterSeconds = this.#retryAfter(this.#queues.waiting)
    // First the reason, so that whoever waits for its turn gets this one.
    entry.shedding.abort(new TroupeError('overloaded', message, { retryAfterSeconds }))
    this.#remove(entry)
  }

  #full(): TroupeError {
    const { waiting } = this.#queues
    const { maxWaiting } = this.#options
    return new TroupeError(
      'overloaded',
      `the queue is full: ${waiting} sequences wait, the setting \`queueLimit\` allows ${maxWaiting}`,
      { retryAfterSeconds: this.#retryAfter(waiting) },
    )
  }

  #pass(entry: Entry): Pass {
    const { tenant, tickets } = entry
    const entered = performance.now()
    const startedAt = new Map<Ticket, number>()
    let firstTurnAt: number | null = null
    const at = (index: number): Ticket => {
      const ticket = tickets[index]
      if (!ticket) throw new RangeError(`no sequence ${index} in this request`)
      return ticket
    }
    const learn = (ticket: Ticket): void => {
      const started = startedAt.get(ticket)
      if (started !== undefined && ticket.state === 'running') this.#learn((performance.now() - started) / 1000)
    }
    return {
      weight: this.#weightOf(tenant),
      signal: entry.shedding.signal,
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
      done: (index) => {
        learn(at(index))
        this.#free(at(index))
        this.#grantAll(tenant)
      },
      leave: () => {
        for (const ticket of tickets) learn(ticket)
        this.#remove(entry)
      },
    }
  }

  #remove(entry: Entry): void {
    if (this.#entries.delete(entry)) {
      const left = this.#requests.get(entry.tenant)! - 1
      if (left > 0) this.#requests.set(entry.tenant, left)
      else this.#requests.delete(entry.tenant)
    }
    for (const ticket of entry.tickets) this.#free(ticket)
    this.#grantAll(entry.tenant)
  }

  #free(ticket: Ticket): void {
    this.#queues.leave(ticket)
    this.#waiters.get(ticket)?.reject(new Error('admission: the request has left the queue'))
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
        this.#queues.leave(ticket)
        waiter.reject(signal.reason as Error)
      }
      signal.addEventListener('abort', onAbort, { once: true })
      this.#waiters.set(ticket, waiter)
    })
  }

  #grantAll(tenant: string): void {
    for (let ticket = this.#queues.grant(tenant); ticket; ticket = this.#queues.grant(tenant))
      this.#waiters.get(ticket)?.resolve()
  }

  #limitsOf(tenant: string): TenantLimits {
    return this.#options.limitsOf?.(tenant) ?? {}
  }

  #weightOf(tenant: string): number {
    return this.#limitsOf(tenant).weight ?? 1
  }

  /** Exponential mean of how long a sequence holds its place: the base of `Retry-After`. */
  #learn(seconds: number): void {
    this.#secondsPerSequence += 0.1 * (seconds - this.#secondsPerSequence)
  }

  #retryAfter(waiting: number): number {
    const seconds = (Math.max(1, waiting) / this.#options.places) * this.#secondsPerSequence
    return Math.min(MAX_RETRY_AFTER_SECONDS, Math.max(1, Math.ceil(seconds)))
  }
}
