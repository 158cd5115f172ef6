import { describe, expect, it } from 'vitest'
import { TroupeError } from '../../src/core/errors.ts'
import { Admission } from '../../src/tenancy/admission.ts'

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
    const second = admission.enter('b', 1)
    let entered = false
    const waiting = second.turn(0, never).then(() => (entered = true))
    await idle()
    expect(entered).toBe(false)
    expect(admission.stats()).toEqual({ waiting: 1, running: 2, requests: 2 })
    first.done(1)
    await waiting
    expect(second.queueMs).toBeGreaterThan(0)
    first.leave()
    second.leave()
    expect(admission.stats()).toEqual({ waiting: 0, running: 0, requests: 0 })
    admission.checkIntegrity()
  })

  it('refuses a tenant with too many requests, and only that one', () => {
    const limits = { places: 9, maxWaiting: 9, maxRequestsPerTenant: 2 }
    const admission = new Admission(limits, (tenant) => (tenant === 'big' ? 3 : null))
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

  it('refuses when the queue is full: the whole request or nothing', () => {
    const admission = new Admission({ places: 1, maxWaiting: 3, maxRequestsPerTenant: null })
    admission.enter('a', 2)
    const error = refusal(() => admission.enter('b', 3))
    expect(error.code).toBe('overloaded')
    expect(error.retryAfterSeconds).toBeGreaterThanOrEqual(1)
    expect(admission.stats()).toEqual({ waiting: 1, running: 1, requests: 1 })
    admission.enter('b', 2)
    expect(refusal(() => admission.enter('c', 1)).code).toBe('overloaded')
    expect(refusal(() => admission.enter('c', 5)).code).toBe('invalid_request')
  })

  it('takes those out of the queue whose client leaves', async () => {
    const admission = new Admission({ places: 1, maxWaiting: 4, maxRequestsPerTenant: null })
    const running = admission.enter('a', 1)
    await running.turn(0, never)
    const controller = new AbortController()
    const gone = admission.enter('b', 1)
    const last = admission.enter('c', 1)
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
    const pass = admission.enter('b', 1)
    const waiting = expect(pass.turn(0, never)).rejects.toThrow('left the queue')
    pass.leave()
    await waiting
    admission.checkIntegrity()
  })
})
