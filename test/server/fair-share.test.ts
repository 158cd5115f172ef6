import type { LightMyRequestResponse } from 'fastify'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { bytesOf } from '../support/fake-text.ts'
import type { TestApp } from '../support/test-app.ts'
import { testApp } from '../support/test-app.ts'

const PLACES = 2
const WAITING = 4

let served: TestApp

beforeEach(async () => {
  served = await testApp({
    tenants: [
      { name: 'crowd', keys: ['crowd-secret'] },
      { name: 'guest', keys: ['guest-secret'], limits: { weight: 2, concurrentRequests: 1 } },
    ],
    places: PLACES,
    maxWaiting: WAITING,
  })
  served.engine.tokenMs = 20
  served.engine.script = () => bytesOf('x'.repeat(30))
})
afterEach(async () => served.app.close())

function ask(tenant: string): Promise<LightMyRequestResponse> {
  const headers = { authorization: `Bearer ${tenant}-secret` }
  const payload = { model: 'fake-base', prompt: 'x', max_tokens: 30 }
  return Promise.resolve(served.call({ method: 'POST', url: '/v1/completions', headers, payload }))
}

/** Requests of the crowd, in the order in which they were let in. */
async function crowd(count: number): Promise<readonly Promise<LightMyRequestResponse>[]> {
  const requests: Promise<LightMyRequestResponse>[] = []
  for (let i = 1; i <= count; i++) {
    requests.push(ask('crowd'))
    await expect.poll(() => served.admission.stats().requests).toBe(i)
  }
  return requests
}

describe('tenants beside each other', () => {
  it('reach the engine at once, with their weights, whatever others have open', async () => {
    const requests = await crowd(PLACES + 2)
    const answer = ask('guest')
    await expect.poll(() => served.engine.active).toBe(PLACES + 1)
    expect(served.engine.requests.map(({ tenant, weight }) => [tenant, weight])).toEqual([
      ...[
        ['crowd', 1],
        ['crowd', 1],
      ],
      ['guest', 2],
    ])
    const statuses = await Promise.all([answer, ...requests].map(async (request) => (await request).statusCode))
    expect(new Set(statuses)).toEqual(new Set([200]))
  })

  it('lose their newest waiting request when they fill the queue and somebody with less comes', async () => {
    const requests = await crowd(PLACES + WAITING)
    expect((await ask('guest')).statusCode).toBe(200)
    const answers = await Promise.all(requests)
    expect(answers.map(({ statusCode }) => statusCode)).toEqual([...Array<number>(PLACES + WAITING - 1).fill(200), 503])
    const shed = answers.at(-1)!
    expect(shed.json()).toMatchObject({
      error: { code: 'overloaded', message: expect.stringContaining('"crowd"') as string },
    })
    expect(Number(shed.headers['retry-after'])).toBeGreaterThanOrEqual(1)
    expect(served.admission.stats()).toEqual({ waiting: 0, running: 0, requests: 0, shed: 1 })
    served.admission.checkIntegrity()
  })

  it('may have as many requests open as their own limit says', async () => {
    const first = ask('guest')
    await expect.poll(() => served.admission.stats().requests).toBe(1)
    const second = await ask('guest')
    expect([second.statusCode, second.json<{ error: { message: string } }>().error.message]).toEqual([
      429,
      'tenant "guest" has 1 requests open, its limit `concurrentRequests` allows 1',
    ])
    expect((await first).statusCode).toBe(200)
  })
})
