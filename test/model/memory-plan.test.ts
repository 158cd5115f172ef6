import { describe, expect, it } from 'vitest'
import { checkMemoryPlan, planMemory, renderMemoryPlan } from '../../src/model/memory-plan.ts'
import { expectRefusal } from '../support/refusal.ts'

const GIB = 2 ** 30

describe('the plan of memory', () => {
  it('fits where everything together is within the memory', () => {
    const { plan, warning } = checkMemoryPlan({ weights: 4 * GIB, kv: GIB, adapters: GIB }, 8 * GIB)
    expect(plan.verdict).toBe('fits')
    expect(warning).toBeNull()
    expect(renderMemoryPlan(plan)).toBe(
      'weights 4.0 GiB + kv 1.0 GiB + adapters 1.0 GiB + process 0.3 GiB = 6.3 GiB, of 8.0 GiB',
    )
  })

  it('warns with settings that fit where the weights would not stay in memory', () => {
    const demand = { weights: 6 * GIB, kv: 2 * GIB, adapters: 2 * GIB }
    const { plan, warning } = checkMemoryPlan(demand, 8 * GIB)
    expect(plan.verdict).toBe('tight')
    const [, kv, adapters] = /kvBytes (\d+)MiB, memoryBytes (\d+)MiB/.exec(warning!)!
    const smaller = { weights: demand.weights, kv: Number(kv) * 2 ** 20, adapters: Number(adapters) * 2 ** 20 }
    expect(planMemory(smaller, 8 * GIB).verdict).toBe('fits')
  })

  it('refuses budgets larger than the machine', () => {
    const demand = { weights: GIB, kv: 6 * GIB, adapters: 6 * GIB }
    expectRefusal(() => checkMemoryPlan(demand, 8 * GIB), 'invalid_config', 'kvBytes')
    expectRefusal(
      () => checkMemoryPlan({ weights: 8 * GIB, kv: 4 * GIB, adapters: 4 * GIB }, 8 * GIB),
      'invalid_config',
      'smaller model',
    )
  })
})
