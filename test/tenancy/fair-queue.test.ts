import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FairQueue } from '../../src/tenancy/fair-queue.ts'
import type { Ticket } from '../../src/tenancy/fair-queue.ts'

const TENANTS = ['a', 'b', 'c', 'd']

type Step = { readonly kind: 'join'; readonly tenant: string } | { readonly kind: 'leave'; readonly pick: number }

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant('join' as const), tenant: fc.constantFrom(...TENANTS) }),
  fc.record({ kind: fc.constant('leave' as const), pick: fc.nat() }),
)

describe('FairQueue', () => {
  it('serves tenants in turns, each in order', () => {
    const queue = new FairQueue({ places: 1, maxWaiting: 10 })
    const names = new Map<Ticket, string>()
    for (const name of ['a1', 'a2', 'a3', 'b1', 'c1', 'b2']) names.set(queue.join(name.slice(0, 1)), name)
    const order: (string | undefined)[] = []
    for (let ticket = queue.grant(); ticket; ticket = queue.grant()) {
      order.push(names.get(ticket))
      queue.leave(ticket)
    }
    expect(order).toEqual(['a1', 'b1', 'c1', 'a2', 'b2', 'a3'])
  })

  it('keeps its books, its bounds and its promise under any use', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), fc.integer({ min: 1, max: 4 }), (steps, places) => {
        const queue = new FairQueue({ places, maxWaiting: 6 })
        const live = new Set<Ticket>()
        /** Grants others got since a ticket became the first of its line. */
        const passedOver = new Map<Ticket, Map<string, number>>()
        const heads = (): Ticket[] =>
          TENANTS.flatMap((tenant) => [...live].find((t) => t.tenant === tenant && t.state === 'waiting') ?? [])
        for (const action of steps) {
          if (action.kind === 'join' && queue.hasRoom(1)) live.add(queue.join(action.tenant))
          const chosen = action.kind === 'leave' ? [...live][action.pick % (live.size || 1)] : undefined
          if (chosen) {
            queue.leave(chosen)
            live.delete(chosen)
          }
          queue.checkIntegrity()
          for (const head of heads()) if (!passedOver.has(head)) passedOver.set(head, new Map())
          for (let granted = queue.grant(); granted; granted = queue.grant()) {
            for (const head of heads())
              if (head.tenant !== granted.tenant) {
                const counts = passedOver.get(head) ?? new Map<string, number>()
                counts.set(granted.tenant, (counts.get(granted.tenant) ?? 0) + 1)
                passedOver.set(head, counts)
                expect(counts.get(granted.tenant)).toBeLessThanOrEqual(1)
              }
            for (const head of heads()) if (!passedOver.has(head)) passedOver.set(head, new Map())
            queue.checkIntegrity()
          }
          expect(queue.running).toBeLessThanOrEqual(places)
          expect(queue.waiting + queue.running).toBe(live.size)
          // Nobody waits while a place is free.
          expect(queue.waiting === 0 || queue.running === places).toBe(true)
        }
        for (const ticket of live) queue.leave(ticket)
        queue.checkIntegrity()
        expect([queue.waiting, queue.running]).toEqual([0, 0])
      }),
      { numRuns: 300 },
    )
  })

  it('a tenant with 100 waiting delays another’s first by one turn at most', () => {
    const queue = new FairQueue({ places: 2, maxWaiting: 200 })
    const flood = Array.from({ length: 100 }, () => queue.join('flood'))
    const running = [queue.grant(), queue.grant()]
    const newcomer = queue.join('new')
    let turns = 0
    while (newcomer.state === 'waiting') {
      const [first] = running.splice(0, 1)
      if (first) queue.leave(first)
      running.push(queue.grant())
      turns += 1
    }
    expect(turns).toBeLessThanOrEqual(2)
    expect(flood.filter(({ state }) => state === 'waiting')).toHaveLength(97)
  })

  it('leaving twice changes nothing', () => {
    const queue = new FairQueue({ places: 1, maxWaiting: 1 })
    const ticket = queue.join('a')
    queue.leave(ticket)
    queue.leave(ticket)
    queue.checkIntegrity()
    expect(queue.waiting).toBe(0)
    expect(queue.grant()).toBeNull()
  })
})
