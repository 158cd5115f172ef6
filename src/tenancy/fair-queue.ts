/** One sequence waiting for, or holding, a place in the engine. */
export interface Ticket {
  readonly tenant: string
  state: 'waiting' | 'running' | 'left'
}

export interface FairQueueLimits {
  /** Tickets that may run at once. */
  readonly places: number
  /** Tickets that may wait, all tenants together. */
  readonly maxWaiting: number
}

/**
 * Who goes next into the engine: one first-in-first-out line per tenant, served in turns.
 * Pure bookkeeping: no clocks, no promises.
 *
 *     turn ─▶ acme:  ▢▢▢▢▢▢▢
 *             zeta:  ▢
 *             …             after each grant the tenant goes to the end of the ring
 */
export class FairQueue {
  readonly limits: FairQueueLimits
  /** Insertion order is the order of turns; a tenant is in here only while it has somebody waiting. */
  readonly #lines = new Map<string, Set<Ticket>>()
  readonly #running = new Set<Ticket>()
  #waiting = 0

  constructor(limits: FairQueueLimits) {
    this.limits = limits
  }

  get waiting(): number {
    return this.#waiting
  }

  get running(): number {
    return this.#running.size
  }

  /** Tickets by tenant. */
  byTenant(): Map<string, { waiting: number; running: number }> {
    const tenants = new Map<string, { waiting: number; running: number }>()
    const of = (tenant: string): { waiting: number; running: number } => {
      const known = tenants.get(tenant) ?? { waiting: 0, running: 0 }
      tenants.set(tenant, known)
      return known
    }
    for (const [tenant, line] of this.#lines) of(tenant).waiting += line.size
    for (const { tenant } of this.#running) of(tenant).running += 1
    return tenants
  }

  /** Whether `count` more tickets can be taken in, counting the places that are free now. */
  hasRoom(count: number): boolean {
    return this.#waiting + this.#running.size + count <= this.limits.places + this.limits.maxWaiting
  }

  /** Puts a new ticket at the end of its tenant's line. The caller asks `hasRoom` first. */
  join(tenant: string): Ticket {
    const ticket: Ticket = { tenant, state: 'waiting' }
    const line = this.#lines.get(tenant)
    if (line) line.add(ticket)
    else this.#lines.set(tenant, new Set([ticket]))
    this.#waiting += 1
    return ticket
  }

  /** The next ticket that may run, now marked as running; null when no place is free or nobody waits. */
  grant(): Ticket | null {
    if (this.#running.size >= this.limits.places) return null
    for (const [tenant, line] of this.#lines)
      for (const ticket of line) {
        this.#lines.delete(tenant)
        line.delete(ticket)
        if (line.size > 0) this.#lines.set(tenant, line)
        this.#waiting -= 1
        ticket.state = 'running'
        this.#running.add(ticket)
        return ticket
      }
    return null
  }

  /** Takes a ticket out, wherever it is. Idempotent. */
  leave(ticket: Ticket): void {
    if (ticket.state === 'running') this.#running.delete(ticket)
    else if (ticket.state === 'waiting') {
      const line = this.#lines.get(ticket.tenant)
      if (line?.delete(ticket)) this.#waiting -= 1
      if (line?.size === 0) this.#lines.delete(ticket.tenant)
    }
    ticket.state = 'left'
  }

  /** Throws when the books do not agree with themselves. */
  checkIntegrity(): void {
    let waiting = 0
    for (const [tenant, line] of this.#lines) {
      if (line.size === 0) throw new Error(`fair queue: the line of ${tenant} is empty but kept`)
      waiting += line.size
      for (const ticket of line)
        if (ticket.state !== 'waiting' || ticket.tenant !== tenant)
          throw new Error(`fair queue: a ticket ${ticket.state} of ${ticket.tenant} stands in the line of ${tenant}`)
    }
    if (waiting !== this.#waiting) throw new Error(`fair queue: ${waiting} wait, ${this.#waiting} counted`)
    if (this.#running.size > this.limits.places)
      throw new Error(`fair queue: ${this.#running.size} run in ${this.limits.places} places`)
    for (const ticket of this.#running)
      if (ticket.state !== 'running') throw new Error(`fair queue: a ticket ${ticket.state} holds a place`)
  }
}
