import { describe, expect, it } from 'vitest'
import { TroupeError } from '../../src/core/errors.ts'
import { Admission } from '../../src/tenancy/admission.ts'
import { EVERYONE } from '../../src/tenancy/roles.ts'
import type { TenantLimits } from '../../src/tenancy/limits.ts'

const never = new AbortController().signal

function refusal(action: () => unknown): TroupeError {
  try {
    action()
  } catch (error) {
    if (error instanceof TroupeError) return error
  }
  throw new Error('it was not refused')
}

/** Lets everything that can go on now go on. */
async function idle(): Promise<void> {
  await new Promise(setImmediate)
}

describe('Admission', () => {
  it('lets in what fits and makes the rest wait', async () => {
    const admission = new Admission({ places: 2, maxWaiting: 4, maxRequestsPerTenant: null })
    const first = admission.enter('a', 2)
    await first.turn(0, never)
    await first.turn(1, never)
    const second = admission.enter('a', 1)
    let entered = false
    const waiting = second.turn(0, never).then(() => (entered = true))
    await idle()
    expect(entered).toBe(false)
    expect(admission.stats()).toEqual({ waiting: 1, running: 2, requests: 2, shed: 0 })
    first.done(1)
    await waiting
    expect(second.queueMs).toBeGreaterThan(0)
    first.leave()
    second.leave()
    expect(admission.stats()).toEqual({ waiting: 0, running: 0, requests: 0, shed: 0 })
    admission.checkIntegrity()
  })

  it('refuses a tenant with too many requests, and only that one', () => {
    const limitsOf = (tenant: string): TenantLimits => (tenant === 'big' ? { concurrentRequests: 3 } : {})
    const admission = new Admission({ places: 9, maxWaiting: 9, maxRequestsPerTenant: 2, limitsOf })
    const passes = [admission.enter('a', 1), admission.enter('a', 1)]
    const error = refusal(() => admission.enter('a', 1))
    expect(error.code).toBe('rate_limit_exceeded')
    expect(error.retryAfterSeconds).toBeGreaterThanOrEqual(1)
    for (let i = 0; i < 3; i++) admission.enter('big', 1)
    expect(refusal(() => admission.enter('big', 1)).code).toBe('rate_limit_exceeded')
    passes[0]?.leave()
    passes[0]?.leave()
    admission.enter('a', 1)
    expect(refusal(() => admission.enter('a', 1)).code).toBe('rate_limit_exceeded')
  })

  it('has no tenants on an open server, and so no quota', () => {
    const admission = new Admission({ places: 9, maxWaiting: 9, maxRequestsPerTenant: 1 })
    admission.enter(EVERYONE.tenant, 1)
    admission.enter(EVERYONE.tenant, 1)
  })

  it('refuses when the queue is full: the whole request or nothing', () => {
    const admission = new Admission({ places: 1, maxWaiting: 3, maxRequestsPerTenant: null })
    admission.enter('a', 2)
    const error = refusal(() => admission.enter('a', 3))
    expect(error.code).toBe('overloaded')
    expect(error.retryAfterSeconds).toBeGreaterThanOrEqual(1)
    expect(admission.stats()).toEqual({ waiting: 1, running: 1, requests: 1, shed: 0 })
    expect(refusal(() => admission.enter('a', 5)).code).toBe('invalid_request')
  })

  it('lets a newcomer in at once, however many sequences of another tenant run and wait', async () => {
    const admission = new Admission({ places: 2, maxWaiting: 10, maxRequestsPerTenant: null })
    for (let i = 0; i < 8; i++) admission.enter('a', 1)
    const newcomer = admission.enter('b', 2)
    expect(newcomer.waits).toBe(false)
    await newcomer.turn(1, never)
    expect(admission.stats()).toMatchObject({ running: 4, waiting: 6 })
  })

  it('sheds the newest waiting requests of the heaviest tenant, and nobody else’s', async () => {
    const admission = new Admission({ places: 1, maxWaiting: 5, maxRequestsPerTenant: null })
    const [running, older, newer] = [admission.enter('a', 1), admission.enter('a', 2), admission.enter('a', 2)]
    const c = admission.enter('c', 1)
    const waiting = expect(newer.turn(0, newer.signal)).rejects.toMatchObject({ code: 'overloaded' })
    const b = admission.enter('b', 1)
    await waiting
    expect([running, older, c, b].map(({ signal }) => signal.aborted)).toEqual([false, false, false, false])
    expect((newer.signal.reason as TroupeError).retryAfterSeconds).toBeGreaterThanOrEqual(1)
    expect(admission.stats()).toMatchObject({ requests: 4, shed: 1 })
    newer.leave()
    admission.checkIntegrity()
  })

  it('weighs what tenants use, and refuses a newcomer that would be the heaviest', () => {
    const limitsOf = (tenant: string): TenantLimits => (tenant === 'gold' ? { weight: 4 } : {})
    const admission = new Admission({ places: 1, maxWaiting: 5, maxRequestsPerTenant: null, limitsOf })
    const gold = Array.from({ length: 4 }, () => admission.enter('gold', 1))
    const plain = [admission.enter('plain', 1), admission.enter('plain', 1)]
    expect(gold[0]!.weight).toBe(4)
    // 5 of weight 4 are less than 2 of weight 1.
    admission.enter('gold', 1)
    expect([...gold, ...plain].map(({ signal }) => signal.aborted)).toEqual([false, false, false, false, false, true])
    expect(refusal(() => admission.enter('plain', 1)).code).toBe('overloaded')
    admission.checkIntegrity()
  })

  it('sheds nothing when that would not make room', () => {
    const admission = new Admission({ places: 3, maxWaiting: 1, maxRequestsPerTenant: null })
    const passes = [admission.enter('a', 3), admission.enter('a', 1)]
    expect(refusal(() => admission.enter('b', 2)).code).toBe('overloaded')
    expect(passes.map(({ signal }) => signal.aborted)).toEqual([false, false])
  })

  it('takes those out of the queue whose client leaves', async () => {
    const admission = new Admission({ places: 1, maxWaiting: 4, maxRequestsPerTenant: null })
    const running = admission.enter('a', 1)
    await running.turn(0, never)
    const controller = new AbortController()
    const gone = admission.enter('a', 1)
    const last = admission.enter('a', 1)
    const refused = expect(gone.turn(0, controller.signal)).rejects.toThrow('left')
    const served = last.turn(0, never)
    controller.abort(new Error('left'))
    await refused
    gone.leave()
    admission.checkIntegrity()
    expect(admission.stats().waiting).toBe(1)
    running.leave()
    await served
    await expect(last.turn(0, controller.signal)).rejects.toThrow('left')
    last.leave()
    admission.checkIntegrity()
  })

  it('wakes those who wait when their request is given up', async () => {
    const admission = new Admission({ places: 1, maxWaiting: 4, maxRequestsPerTenant: null })
    admission.enter('a', 1)
    const pass = admission.enter('a', 1)
    const waiting = expect(pass.turn(0, never)).rejects.toThrow('left the queue')
    pass.leave()
    await waiting
    admission.checkIntegrity()
  })
})
