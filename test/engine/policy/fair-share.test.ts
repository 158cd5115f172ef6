import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FairShare } from '../../../src/engine/policy/fair-share.ts'
import type { Candidate } from '../../../src/engine/policy/policy.ts'

interface Sequence {
  readonly id: number
  readonly tenant: string
  readonly weight: number
  readonly arrived: number
  prompt: number
  output: number
  running: boolean
  evaluated: number
  firstTokenAt: number | null
}

/** A batch of so many rows, one token for each and some prompt tokens a step: the policy decides who is in it. */
class Batch {
  readonly fair = new FairShare()
  readonly served = new Map<string, number>()
  sequences: Sequence[] = []
  step = 0
  #id = 0

  add(tenant: string, weight: number, prompt: number, output: number): Sequence {
    const progress = { running: false, evaluated: 0, firstTokenAt: null }
    const sequence = { id: this.#id++, tenant, weight, arrived: this.step, prompt, output, ...progress }
    this.sequences.push(sequence)
    return sequence
  }

  run(rows: number, budget: number): void {
    this.step++
    const order = this.fair.order(this.sequences.map((one) => this.#candidate(one)))
    const byId = new Map(this.sequences.map((sequence) => [sequence.id, sequence]))
    for (const sequence of this.sequences) sequence.running = false
    for (const { id } of order.slice(0, rows)) {
      const sequence = byId.get(id)!
      sequence.running = true
      const tokens = { prompt: Math.min(sequence.prompt, budget), output: sequence.prompt === 0 ? 1 : 0 }
      budget -= tokens.prompt
      sequence.prompt -= tokens.prompt
      sequence.output -= tokens.output
      sequence.evaluated += tokens.prompt + tokens.output
      if (sequence.prompt === 0) sequence.firstTokenAt ??= this.step
      this.fair.charge(sequence.tenant, tokens)
      this.served.set(sequence.tenant, (this.served.get(sequence.tenant) ?? 0) + tokens.prompt + 2 * tokens.output)
    }
    this.sequences = this.sequences.filter(({ output }) => output > 0)
  }

  #candidate({ id, tenant, weight, prompt, arrived, running, evaluated }: Sequence): Candidate {
    const asked = { priority: 0, deadlineMs: null, background: false }
    const pending = prompt > 0 ? prompt : 1
    return { id, tenant, weight, ...asked, waitedMs: this.step - arrived, running, evaluated, pending }
  }
}

describe('fair share', () => {
  it('gives a newcomer the very next step beside a tenant with hundreds of sequences', () => {
    const batch = new Batch()
    for (let i = 0; i < 200; i++) batch.add('a', 1, 32, 300)
    for (let i = 0; i < 300; i++) batch.run(16, 64)
    for (let i = 0; i < 20; i++) {
      const newcomer = batch.add('b', 1, 32, 20)
      for (let n = 0; n < 40; n++) batch.run(16, 64)
      expect(newcomer.firstTokenAt! - newcomer.arrived).toBeLessThanOrEqual(2)
    }
  })

  it('shares by weight among tenants that always want more', () => {
    const batch = new Batch()
    for (let step = 0; step < 4000; step++) {
      for (let weight = 1; weight <= 10; weight++) {
        const name = `t${weight}`
        while (batch.sequences.filter(({ tenant }) => tenant === name).length < 20) batch.add(name, weight, 20, 30)
      }
      batch.run(16, 64)
    }
    const total = [...batch.served.values()].reduce((sum, tokens) => sum + tokens, 0)
    for (let weight = 1; weight <= 10; weight++)
      expect(batch.served.get(`t${weight}`)! / total / (weight / 55)).toBeCloseTo(1, 1)
  })

  it('gives no credit for having been idle, and no discount for coming back', () => {
    const batch = new Batch()
    for (let i = 0; i < 50; i++) batch.add('busy', 1, 10, 400)
    for (let i = 0; i < 1000; i++) batch.run(4, 32)
    for (let i = 0; i < 50; i++) batch.add('late', 1, 10, 400)
    const before = batch.served.get('busy')!
    for (let i = 0; i < 500; i++) batch.run(4, 32)
    const [busy, late] = [batch.served.get('busy')! - before, batch.served.get('late')!]
    expect(late / busy).toBeGreaterThan(0.8)
    expect(late / busy).toBeLessThan(1.25)

    const fair = new FairShare()
    const one = (tenant: string): Candidate => ({
      ...{ id: 0, tenant, weight: 1, background: false, priority: 0, deadlineMs: null },
      ...{ waitedMs: 0, running: false, evaluated: 0, pending: 1 },
    })
    fair.order([one('x'), one('y')])
    fair.charge('x', { prompt: 1000, output: 0 })
    fair.order([one('y')])
    fair.order([one('x'), one('y')])
    expect(fair.served('x')).toBe(1000)
  })

  it('returns everybody once, whoever they are, and starves nobody', () => {
    const candidate = fc.record({
      tenant: fc.constantFrom('a', 'b', 'c', null),
      weight: fc.constantFrom(1, 2, 5),
      background: fc.boolean(),
      priority: fc.integer({ min: -1, max: 1 }),
      deadlineMs: fc.constantFrom(null, -5, 100),
      running: fc.boolean(),
      pending: fc.integer({ min: 1, max: 500 }),
    })
    fc.assert(
      fc.property(fc.array(candidate, { maxLength: 40 }), (given) => {
        const candidates = given.map((one, id) => ({ ...one, id, waitedMs: 0, evaluated: 0 }))
        const order = new FairShare().order(candidates)
        expect(order.map(({ id }) => id).sort((x, y) => x - y)).toEqual(candidates.map(({ id }) => id))
        const backgrounds = order.map(({ background }) => background)
        expect(backgrounds).toEqual([...backgrounds].sort((x, y) => Number(x) - Number(y)))
      }),
    )
    const batch = new Batch()
    for (let step = 0; step < 600; step++) {
      for (const name of ['a', 'b', 'c']) batch.add(name, 1, 8, 8)
      if (step < 3) batch.add('meek', 1, 40, 40)
      batch.run(4, 16)
    }
    expect(batch.sequences.some(({ tenant }) => tenant === 'meek')).toBe(false)
  })
})
