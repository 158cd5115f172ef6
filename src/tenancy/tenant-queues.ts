/** One sequence waiting for, or holding, a place in the engine. */
export interface Ticket {
  readonly tenant: string
  state: 'waiting' | 'running' | 'left'
}

export interface QueueLimits {
  /** Tickets of one tenant that may be in the engine at once: as many as it runs. */
  readonly places: number
  /** Tickets that may be open beyond one tenant's places, all tenants together. */
  readonly maxWaiting: number
}

interface Queue {
  /** In order of arrival. */
  readonly waiting: Set<Ticket>
  running: number
}

/**
 * A first-in-first-out queue per tenant, with as many places in the engine for each as there are rows. So nobody waits here for another tenant: who
 * gets the rows is decided in the engine, step by step. What waits here holds no memory.
 *
 *     acme: ▢▢▢▢▢▢▢ ─▶ ▣▣▣▣ ─┐
 *                             ├─▶ engine: shares of tenants
 *     zeta:         ─▶ ▣    ─┘
 *
 * Pure bookkeeping: no clocks, no promises.
 */
export class TenantQueues {
  readonly limits: QueueLimits
  /** Tenants with tickets only. */
  readonly #queues = new Map<string, Queue>()
  #waiting = 0
  #running = 0

  constructor(limits: QueueLimits) {
    this.limits = limits
  }

  get waiting(): number {
    return this.#waiting
  }

  get running(): number {
    return this.#running
  }

  /** Tickets that could be open at once. */
  get capacity(): number {
    return this.limits.places + this.limits.maxWaiting
  }

  /** Tickets by tenant. */
  byTenant(): ReadonlyMap<string, { readonly waiting: number; readonly running: number }> {
    return new Map(
      [...this.#queues].map(([tenant, { waiting, running }]) => [tenant, { waiting: waiting.size, running }]),
    )
  }

  /** Puts a new ticket at the end of its tenant's queue. The caller sees to `capacity`. */
  join(tenant: string): Ticket {
    const ticket: Ticket = { tenant, state: 'waiting' }
    const queue = this.#queues.get(tenant) ?? { waiting: new Set(), running: 0 }
    this.#queues.set(tenant, queue)
    queue.waiting.add(ticket)
    this.#waiting++
    return ticket
  }

  /** The next ticket of a tenant that may run, now marked as running; null when all its places are taken or nobody waits. */
  grant(tenant: string): Ticket | null {
    const queue = this.#queues.get(tenant)
    if (queue === undefined || queue.running >= this.limits.places) return null
    const [ticket] = queue.waiting
    if (ticket === undefined) return null
    queue.waiting.delete(ticket)
    this.#waiting--
    ticket.state = 'running'
    queue.running++
    this.#running++
    return ticket
  }

  /** Takes a ticket out, wherever it is. Idempotent. */
  leave(ticket: Ticket): void {
    const { tenant, state } = ticket
    ticket.state = 'left'
    const queue = this.#queues.get(tenant)
    if (state === 'left' || queue === undefined) return
    if (state === 'running') {
      queue.running--
      this.#running--
    } else {
      queue.waiting.delete(ticket)
      this.#waiting--
    }
    if (queue.waiting.size + queue.running === 0) this.#queues.delete(tenant)
  }

  /** Throws when the books do not agree with themselves. */
  checkIntegrity(): void {
    const sums = { waiting: 0, running: 0 }
    for (const [tenant, { waiting, running }] of this.#queues) {
      if (waiting.size + running === 0) throw new Error(`queues: the one of ${tenant} is empty but kept`)
      if (running > this.limits.places)
        throw new Error(`queues: ${running} of ${tenant} run in ${this.limits.places} places`)
      for (const ticket of waiting)
        if (ticket.state !== 'waiting' || ticket.tenant !== tenant)
          throw new Error(`queues: a ticket ${ticket.state} of ${ticket.tenant} stands in the queue of ${tenant}`)
      sums.waiting += waiting.size
      sums.running += running
    }
    if (sums.waiting !== this.#waiting) throw new Error(`queues: ${sums.waiting} wait, ${this.#waiting} counted`)
    if (sums.running !== this.#running) throw new Error(`queues: ${sums.running} run, ${this.#running} counted`)
  }
}
