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
    expectRefusal(
      () => planLength(10, 7, null, 16, 0),
      'context_length_exceeded',
      'maximum context length is 16 tokens, but the prompt has 10 tokens and 7 more were asked for, together 17',
    )
    expectRefusal(
      () => planLength(10, 3, null, 16, 4),
      'context_length_exceeded',
      '4 of which are the adapter’s virtual tokens',
    )
    expectRefusal(() => planLength(12, null, null, 16, 4), 'context_length_exceeded', '1 more at least is needed')
  })
})
