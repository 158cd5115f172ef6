import { describe, expect, it } from 'vitest'
import { planLength } from '../../src/generation/length.ts'
import { expectRefusal } from '../support/refusal.ts'

describe('the length of a completion', () => {
  it('is what was asked for, or what fits beside prompt and virtual tokens', () => {
    expect(planLength(10, 6, null, 16, 0)).toBe(6)
    expect(planLength(10, null, null, 16, 0)).toBe(6)
    expect(planLength(10, null, null, 16, 4)).toBe(2)
    expect(planLength(10, null, 1, 16, 4)).toBe(1)
    expect(planLength(10, 2, null, 16, 4)).toBe(2)
  })

  it('that does not fit is refused with all the numbers', () => {
    expectRefusal(() => planLength(10, 7, null, 16, 0), 'prompt_too_long', 'together 17: the context is 16 tokens')
    expectRefusal(
      () => planLength(10, 3, null, 16, 4),
      'prompt_too_long',
      '4 of which are the adapter’s virtual tokens',
    )
    expectRefusal(() => planLength(12, null, null, 16, 4), 'prompt_too_long', 'at least are needed')
  })
})
