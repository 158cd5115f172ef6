import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Ticket } from '../../src/tenancy/tenant-queues.ts'
import { TenantQueues } from '../../src/tenancy/tenant-queues.ts'

const TENANTS = ['a', 'b', 'c']

type Step =
  { readonly kind: 'join' | 'grant'; readonly tenant: string } | { readonly kind: 'leave'; readonly pick: number }

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant('join' as const), tenant: fc.constantFrom(...TENANTS) }),
  fc.record({ kind: fc.constant('grant' as const), tenant: fc.constantFrom(...TENANTS) }),
  fc.record({ kind: fc.constant('leave' as const), pick: fc.nat() }),
)

describe('TenantQueues', () => {
  it('makes nobody wait for another tenant', () => {
    const queues = new TenantQueues({ places: 2, maxWaiting: 10 })
    const tickets = Array.from({ length: 5 }, () => queues.join('a'))
    expect([queues.grant('a'), queues.grant('a'), queues.grant('a')]).toEqual([tickets[0], tickets[1], null])
    const other = queues.join('b')
    expect(queues.grant('b')).toBe(other)
    queues.leave(tickets[0]!)
    expect(queues.grant('a')).toBe(tickets[2])
    expect([...queues.byTenant()]).toEqual([
      ['a', { waiting: 2, running: 2 }],
      ['b', { waiting: 0, running: 1 }],
    ])
  })

  it('keeps its books, its places and the order of arrival under any use', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), fc.integer({ min: 1, max: 4 }), (steps, places) => {
        const queues = new TenantQueues({ places, maxWaiting: 6 })
        const live: Ticket[] = []
        const waiting = (tenant: string): Ticket[] => live.filter((t) => t.tenant === tenant && t.state === 'waiting')
        for (const action of steps) {
          if (action.kind === 'join') live.push(queues.join(action.tenant))
          else if (action.kind === 'grant') {
            const [first] = waiting(action.tenant)
            const running = live.filter((t) => t.tenant === action.tenant && t.state === 'running').length
            expect(queues.grant(action.tenant)).toBe(running < places && first ? first : null)
          } else if (action.kind === 'leave' && live.length > 0) {
            const [ticket] = live.splice(action.pick % live.length, 1)
            queues.leave(ticket!)
            queues.leave(ticket!)
          }
          queues.checkIntegrity()
          expect(queues.waiting).toBe(live.filter(({ state }) => state === 'waiting').length)
          expect(queues.running).toBe(live.filter(({ state }) => state === 'running').length)
        }
      }),
    )
  })
})
