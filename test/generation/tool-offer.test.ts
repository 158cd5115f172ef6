import { describe, expect, it } from 'vitest'
import { offeredTools } from '../../src/generation/tool-offer.ts'
import type { ToolChoice } from '../../src/generation/tool-offer.ts'
import { fakeText } from '../support/fake-text.ts'
import { expectRefusal } from '../support/refusal.ts'

const tools = ['weather', 'add'].map((name) => ({ type: 'function' as const, function: { name } }))

describe('offeredTools', () => {
  it.each<[string, typeof tools | null, ToolChoice | null]>([
    ['no tools', null, null],
    ['no tools, left to the model', null, 'auto'],
    ['tools that are switched off', tools, 'none'],
  ])('%s: none', (_case, given, choice) => {
    expect(offeredTools({ tools: given, choice }, fakeText)).toBeNull()
  })

  it.each(['auto' as const, null])('begins nothing with %j', (choice) => {
    expect(offeredTools({ tools, choice }, fakeText)).toMatchObject({ tools, begun: '' })
  })

  it('refuses what it cannot begin, but not what needs no beginning, where the form of calls is not known', () => {
    const unknown = { callSyntax: null }
    expect(offeredTools({ tools, choice: null }, unknown)).not.toBeNull()
    expectRefusal(
      () => offeredTools({ tools, choice: 'required' }, unknown),
      'invalid_request',
      'no form of calls that is known',
    )
  })
})
