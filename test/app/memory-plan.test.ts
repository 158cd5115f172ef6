import { describe, expect, it } from 'vitest'
import type { MemoryDemand } from '../../src/app/memory-plan.ts'
import { checkMemoryPlan, planMemory, renderMemoryPlan } from '../../src/app/memory-plan.ts'
import { expectRefusal } from '../support/refusal.ts'

const MIB = 2 ** 20
const GIB = 2 ** 30

function demandOf(weights: number, kv: number, adapters: number): MemoryDemand {
  return { weights: weights * GIB, kv: kv * GIB, adapters: adapters * GIB, working: 200 * MIB }
}

describe('the plan of memory', () => {
  it('fits where everything together is within the memory', () => {
    const plan = planMemory(demandOf(4, 1, 1), 8 * GIB)
    expect(plan).toMatchObject({ verdict: 'fits', wayOut: '' })
    expect(checkMemoryPlan(plan)).toBeNull()
    expect(renderMemoryPlan(plan)).toBe(
      'weights 4 GiB + kv 1 GiB + adapters 1 GiB + working 200 MiB + process 300 MiB = 6.5 GiB of 8 GiB',
    )
  })

  it('warns with settings that fit where the weights would not stay in memory', () => {
    const demand = demandOf(6, 2, 2)
    const plan = planMemory(demand, 8 * GIB)
    expect(plan.verdict).toBe('tight')
    const [, kv, adapters] = /kvBytes (\d+)MiB with memoryBytes (\d+)MiB/.exec(checkMemoryPlan(plan)!)!
    const smaller = { ...demand, kv: Number(kv) * MIB, adapters: Number(adapters) * MIB }
    expect(planMemory(smaller, 8 * GIB).verdict).toBe('fits')
  })

  it('offers the largest precision that fits', () => {
    const smaller = [
      { precision: 'int8', bytes: 8.5 * GIB },
      { precision: 'int4', bytes: 5 * GIB },
    ]
    const { wayOut } = planMemory(demandOf(16, 1, 1), 8 * GIB, smaller)
    expect(wayOut).toBe(
      'these settings would fit: precision int4 (5 GiB of weights); or take a smaller model, or more memory',
    )
  })

  it('refuses what cannot be given back to the disk and does not fit', () => {
    expectRefusal(() => checkMemoryPlan(planMemory(demandOf(1, 6, 6), 8 * GIB)), 'invalid_config', 'kvBytes')
    const hopeless = planMemory(demandOf(8, 4, 4), 8 * GIB)
    expectRefusal(() => checkMemoryPlan(hopeless), 'invalid_config', 'smaller model')
  })
})
