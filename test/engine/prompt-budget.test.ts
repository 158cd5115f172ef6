import { describe, expect, it } from 'vitest'
import { promptBudget } from '../../src/engine/prompt-budget.ts'
import { StepCosts } from '../../src/engine/step-costs.ts'

/** Costs learned from steps of all sizes on a machine where a step takes `fixed` and `each` for every token, in seconds. */
function machine(fixed: number, each: number): StepCosts {
  const costs = new StepCosts()
  for (let times = 0; times < 40; times++)
    for (const tokens of [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]) costs.observe(tokens, fixed + each * tokens)
  return costs
}

describe('StepCosts', () => {
  it('knows nothing before the first step, and goes by proportion beyond the largest', () => {
    const costs = new StepCosts()
    expect(costs.estimate(1)).toBeNull()
    costs.observe(8, 0.08)
    expect([costs.estimate(1), costs.estimate(8), costs.estimate(16)]).toEqual([0.08, 0.08, 0.16])
  })

  it('finds what steps take that it has not seen', () => {
    const costs = machine(0.008, 0.0013)
    for (const tokens of [3, 11, 50, 300]) expect(costs.estimate(tokens)).toBeCloseTo(0.008 + 0.0013 * tokens, 3)
  })

  it('follows a machine that became slower, and not one slow step', () => {
    const costs = machine(0.008, 0.001)
    costs.observe(16, 5)
    expect(costs.estimate(16)!).toBeLessThan(0.04)
    for (let times = 0; times < 60; times++) costs.observe(16, 0.048)
    expect(costs.estimate(16)).toBeCloseTo(0.048, 2)
  })

  it('never says that more tokens take less time', () => {
    const costs = new StepCosts()
    for (const [tokens, seconds] of [
      [4, 0.05],
      [8, 0.03],
      [16, 0.04],
    ] as const)
      costs.observe(tokens, seconds)
    expect([4, 8, 16].map((tokens) => Number(costs.estimate(tokens)!.toFixed(3)))).toEqual([0.04, 0.04, 0.04])
  })
})

describe('promptBudget', () => {
  it('fills the step where nobody waits for a token, for a second at most', () => {
    expect(promptBudget({ rows: 0, drafted: 0 }, 512, machine(0.005, 0.0005))).toBe(512)
    const slow = machine(0.17, 0.01)
    const tokens = promptBudget({ rows: 0, drafted: 0 }, 512, slow)
    expect(slow.estimate(tokens)!).toBeLessThanOrEqual(1)
    expect(slow.estimate(tokens + 1)!).toBeGreaterThan(1)
  })

  it.each([1, 4, 8, 16, 64])('does not double the time between two tokens of %i rows', (rows) => {
    const costs = machine(0.006, 0.0009)
    const tokens = promptBudget({ rows, drafted: 0 }, 512, costs)
    expect(tokens).toBeGreaterThanOrEqual(8)
    expect(costs.estimate(rows + tokens)! / costs.estimate(rows)!).toBeLessThanOrEqual(rows < 8 ? 2.05 : 2)
  })

  it('keeps to a quarter of a second on slow machines, but for the least', () => {
    const costs = machine(0.15, 0.002)
    const tokens = promptBudget({ rows: 4, drafted: 0 }, 512, costs)
    expect(costs.estimate(4 + tokens)!).toBeLessThanOrEqual(0.25)
    expect(promptBudget({ rows: 4, drafted: 0 }, 512, machine(0.24, 0.02))).toBe(8)
  })

  it('counts what is guessed, and keeps to the tokens of a step', () => {
    const costs = machine(0.01, 0.0002)
    expect(promptBudget({ rows: 8, drafted: 40 }, 512, costs)).toBeLessThan(
      promptBudget({ rows: 8, drafted: 0 }, 512, costs),
    )
    expect(promptBudget({ rows: 8, drafted: 2 }, 12, costs)).toBe(2)
    expect(promptBudget({ rows: 12, drafted: 0 }, 12, costs)).toBe(0)
    expect(promptBudget({ rows: 0, drafted: 0 }, 12, new StepCosts())).toBe(12)
  })
})
