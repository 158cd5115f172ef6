import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { GenerationRequest } from '../../src/core/generation.ts'
import { MixUse } from '../../src/engine/held-adapters.ts'
import { KvPages } from '../../src/engine/kv-pages.ts'
import { PageTables } from '../../src/engine/page-tables.ts'
import { FairShare } from '../../src/engine/policy/fair-share.ts'
import type { Candidate } from '../../src/engine/policy/policy.ts'
import type { SchedulerOptions, StepAdvice } from '../../src/engine/scheduler.ts'
import { Scheduler } from '../../src/engine/scheduler.ts'
import { Sequence, pagesFor } from '../../src/engine/sequence.ts'
import { promptOf, requestOf } from '../support/loop-driver.ts'
import type { StepPlan } from '../../src/engine/step-plan.ts'

const NO_VERSIONS = new MixUse([], () => undefined)

function sequence(id: number, changes: Partial<GenerationRequest>): Sequence {
  return new Sequence(id, requestOf(changes), { now: 0, fingerprint: 'base', use: NO_VERSIONS })
}

/** A scheduler, and steps that give every sequence the token 1. */
class Rig {
  readonly scheduler: Scheduler
  readonly pages: KvPages
  advice: StepAdvice = { draft: () => new Map(), promptTokens: () => 8 }

  constructor(kvPages: number, options: Partial<SchedulerOptions> = {}) {
    this.pages = new KvPages(kvPages)
    const fixed = { rows: 8, stepTokens: 32, logitRows: 32, policy: new FairShare(), ropeTable: () => 0 }
    this.scheduler = new Scheduler({ ...fixed, ...options }, this.pages, new PageTables(this.pages))
  }

  step(now = 0): StepPlan | null {
    const { step } = this.scheduler.plan(this.advice, now)
    for (const part of step?.parts ?? []) {
      this.scheduler.complete(part)
      const ready = part.sequence.pending === 0
      const forks =
        ready && part.sequence.known === part.sequence.promptEnd ? this.scheduler.startForks(part.sequence) : []
      for (const each of ready ? [part.sequence, ...forks] : []) this.#accept(each)
    }
    this.scheduler.checkIntegrity()
    return step
  }

  run(): void {
    for (let steps = 0; !this.scheduler.idle; steps++) {
      if (steps > 5000) throw new Error('nobody gets on')
      this.step()
    }
  }

  /** What each step of `count` did: `id:tokens`. */
  trace(count: number): string[] {
    return Array.from({ length: count }, () =>
      (this.step()?.parts ?? []).map((part) => `${part.sequence.id}:${part.count}`).join(' '),
    )
  }

  #accept(each: Sequence): void {
    each.accept(1)
    if (each.generated.length >= each.request.maxTokens) this.scheduler.remove(each)
    else if (each.state === 'running') this.scheduler.settle(each)
  }
}

describe('Scheduler', () => {
  it('evaluates prompts in pieces beside rows that go on', () => {
    const rig = new Rig(50)
    rig.scheduler.add(sequence(1, { tokens: promptOf(3, 1) }))
    rig.scheduler.add(sequence(2, { tokens: promptOf(10, 2) }))
    rig.scheduler.add(sequence(3, { tokens: promptOf(9, 3) }))
    expect(rig.trace(5)).toEqual(['1:3 2:5', '1:1 2:5 3:3', '1:1 2:1 3:6', '1:1 2:1 3:1', '1:1 2:1 3:1'])
  })

  it('asks the policy, with all that it may want to know', () => {
    const seen: (readonly Candidate[])[] = []
    const rig = new Rig(50, {
      rows: 1,
      policy: {
        order: (candidates) => {
          seen.push(candidates)
          return [...candidates].sort((a, b) => b.priority - a.priority)
        },
        charge: () => undefined,
      },
    })
    rig.scheduler.add(sequence(1, { tokens: promptOf(20, 1), tenant: undefined, background: true }))
    rig.scheduler.add(sequence(2, { tokens: promptOf(4, 2), priority: 3, deadline: 500 }))
    rig.step(100)
    const common = { weight: 1, waitedMs: 100, running: false, evaluated: 0 }
    expect(seen[0]).toEqual([
      { ...common, id: 1, tenant: null, background: true, priority: 0, deadlineMs: null, pending: 20 },
      { ...common, id: 2, tenant: 'acme', background: false, priority: 3, deadlineMs: 400, pending: 4 },
    ])
    rig.step(200)
    expect(seen[1]![1]).toMatchObject({ id: 2, running: true, evaluated: 4, pending: 1 })
  })

  it('gives the row of one tenant that has much to another that comes, and goes on with it later', () => {
    const rig = new Rig(50, { rows: 2 })
    for (const id of [1, 2, 3])
      rig.scheduler.add(sequence(id, { tokens: promptOf(4, id), tenant: 'many', maxTokens: 40 }))
    for (let i = 0; i < 10; i++) rig.step()
    rig.scheduler.add(sequence(4, { tokens: promptOf(4, 4), tenant: 'one', maxTokens: 3 }))
    rig.step()
    expect([1, 2, 3, 4].map((id) => rig.scheduler.find(id)!.state)).toEqual(['running', 'paused', 'waiting', 'running'])
    rig.scheduler.remove(rig.scheduler.find(4)!)
    rig.step()
    expect([1, 2, 3].map((id) => rig.scheduler.find(id)!.state)).toEqual(['running', 'running', 'waiting'])
  })

  it('lets what is in the background wait for everything else', () => {
    const rig = new Rig(50, { rows: 1 })
    rig.scheduler.add(sequence(1, { background: true, maxTokens: 2 }))
    rig.scheduler.add(sequence(2, { maxTokens: 2 }))
    expect(rig.trace(4)).toEqual(['2:4', '2:1', '1:4', '1:1'])
  })

  it('pauses the youngest when pages run out, and lets it go on from what is left of its pages', () => {
    const rig = new Rig(10)
    rig.advice = { ...rig.advice, promptTokens: () => 32 }
    for (const id of [1, 2]) rig.scheduler.add(sequence(id, { tokens: promptOf(8, id), maxTokens: 100 }))
    const [first, second] = [rig.scheduler.find(1)!, rig.scheduler.find(2)!]
    for (let i = 0; i < 500 && second.state !== 'paused'; i++) rig.step()
    expect([first.state, second.pages, second.cached]).toEqual(['running', [], 0])
    for (let i = 0; i < 500 && second.state === 'paused'; i++) rig.step()
    expect(rig.scheduler.counters.pauses).toBe(1)
    expect(second.state).toBe('running')
    rig.run()
    expect(rig.pages.counts().used).toBe(0)
  })

  it('lets others overtake one that does not fit, but not for ever', () => {
    const rig = new Rig(10, { rows: 100 })
    const started: number[] = []
    rig.scheduler.add(sequence(1, { tokens: promptOf(60, 1), maxTokens: 20 }))
    rig.step()
    rig.scheduler.add(sequence(2, { tokens: promptOf(100, 2), maxTokens: 2 }))
    for (let id = 3; id <= 40; id++) rig.scheduler.add(sequence(id, { tokens: promptOf(3, id), maxTokens: 1 }))
    for (let steps = 0; steps < 500 && !rig.scheduler.idle; steps++) {
      started.push(
        ...rig.scheduler.plan({ draft: () => new Map(), promptTokens: () => 0 }, 0).changes.started.map(({ id }) => id),
      )
      rig.step()
    }
    const place = started.indexOf(2)
    expect(place).toBeGreaterThan(0)
    expect(place).toBeLessThanOrEqual(16)
    expect(started).toHaveLength(39)
  })

  it('keeps to its limits of rows, tokens and logits', () => {
    const rig = new Rig(100, { rows: 5, stepTokens: 9, logitRows: 7 })
    rig.advice = {
      draft: (rows, room) => {
        expect(room).toBe(7 - rows.length)
        return new Map(rows.slice(0, room).map((row) => [row, [1]]))
      },
      promptTokens: ({ rows, drafted }) => 9 - rows - drafted,
    }
    for (let id = 1; id <= 8; id++)
      rig.scheduler.add(sequence(id, { tokens: promptOf(20, id), maxTokens: 9, promptLogprobs: id % 2 === 0 }))
    for (let i = 0; i < 500 && !rig.scheduler.idle; i++) {
      const step = rig.step()!
      const tokens = step.parts.map(({ count, draft }) => count + draft.length)
      expect(step.parts.length).toBeLessThanOrEqual(5)
      expect(tokens.reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(9)
    }
    expect(rig.scheduler.idle).toBe(true)
  })

  it('refuses to remove a sequence it does not have', () => {
    expect(() => new Rig(4).scheduler.remove(sequence(9, {}))).toThrow('sequence 9 is not here')
  })

  it('ends every sequence and keeps its books in order, whatever comes, forks and goes', () => {
    const action = fc.oneof(
      {
        weight: 3,
        arbitrary: fc.record({
          type: fc.constant('add' as const),
          length: fc.integer({ min: 1, max: 60 }),
          maxTokens: fc.integer({ min: 0, max: 70 }),
          begin: fc.integer({ min: 0, max: 2 }),
          forks: fc.integer({ min: 0, max: 3 }),
        }),
      },
      { weight: 8, arbitrary: fc.record({ type: fc.constant('step' as const) }) },
      { weight: 2, arbitrary: fc.record({ type: fc.constant('remove' as const), pick: fc.nat() }) },
    )
    const rope = (limit: number) => (tokens: number) => (tokens > limit ? 1 : 0)
    fc.assert(
      fc.property(
        fc.array(action, { maxLength: 120 }),
        fc.integer({ min: 9, max: 24 }),
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 20, max: 90 }),
        (actions, kvPages, rows, limit) => {
          const rig = new Rig(kvPages, { rows, ropeTable: rope(limit) })
          let nextId = 1
          for (const each of actions) {
            if (each.type === 'step') rig.step()
            else if (each.type === 'remove') {
              const all = rig.scheduler.all()
              if (all.length > 0) rig.scheduler.remove(all[each.pick % all.length]!)
              rig.scheduler.checkIntegrity()
            } else {
              const { length, maxTokens, begin } = each
              const tokens = Int32Array.of(...promptOf(30, begin), ...promptOf(length, nextId))
              const tenant = nextId % 5 === 0 ? undefined : 'acme'
              const make = (): Sequence => sequence(nextId++, { tokens, maxTokens: Math.max(1, maxTokens), tenant })
              const first = make()
              if (pagesFor(first.mostCached) > kvPages) continue
              first.forks.push(...Array.from({ length: each.forks }, make))
              rig.scheduler.add(first)
            }
          }
          rig.run()
          expect(rig.pages.counts()).toMatchObject({ used: 0, shared: 0 })
        },
      ),
      { numRuns: 120 },
    )
  })
})
