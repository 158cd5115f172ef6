import { describe, expect, it } from 'vitest'
import { offeredTools } from '../../../src/server/generation/tool-offer.ts'
import type { ChatRequest } from '../../../src/server/schemas/chat.ts'
import { fakeText } from '../../support/fake-text.ts'
import { expectRefusal } from '../../support/refusal.ts'

const REQUEST: ChatRequest = { model: 'm', messages: [{ role: 'user', content: 'x' }] }
const tools = ['weather', 'add'].map((name) => ({ type: 'function' as const, function: { name } }))

describe('offeredTools', () => {
  it.each([[{}], [{ tool_choice: 'auto' as const }], [{ tools, tool_choice: 'none' as const }]])(
    '%j: none',
    (fields) => {
      expect(offeredTools({ ...REQUEST, ...fields }, fakeText)).toBeNull()
    },
  )

  it.each([[{}], [{ tool_choice: 'auto' as const }], [{ tool_choice: null }]])('begins nothing with %j', (fields) => {
    expect(offeredTools({ ...REQUEST, tools, ...fields }, fakeText)).toEqual({ tools, begun: '' })
  })

  it('refuses what it cannot begin, but not what needs no beginning, where the form of calls is not known', () => {
    const unknown = { ...fakeText, toolOpening: () => null }
    expect(offeredTools({ ...REQUEST, tools }, unknown)).not.toBeNull()
    const refused = { ...REQUEST, tools, tool_choice: 'required' as const }
    expectRefusal(() => offeredTools(refused, unknown), 'invalid_request', 'no form of calls that is known')
  })
})
