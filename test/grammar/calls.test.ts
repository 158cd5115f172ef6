import { describe, expect, it } from 'vitest'
import { MARKER_BYTE } from '../../src/core/call-syntax.ts'
import type { CallsSpec } from '../../src/grammar/calls.ts'
import { toolFormatOf } from '../../src/text/tool-calls/tool-format.ts'
import { accepts, automatonFor } from '../support/grammar.ts'

const WEATHER = {
  name: 'weather',
  schema: { properties: { city: { type: 'string' } }, required: ['city'], additionalProperties: false },
  ordered: true,
}
const ADD = { name: 'add', schema: null, ordered: false }

function calls(template: string, wish: Partial<CallsSpec> = {}) {
  const { syntax } = toolFormatOf(template)!
  const automaton = automatonFor({ type: 'calls', syntax, tools: [WEATHER, ADD], several: true, text: false, ...wish })
  return (text: string): boolean => accepts(automaton, text)
}

const HERMES = '<tool_call>'
const hermes = (name: string, args: string): string =>
  `<tool_call>\n{"name": "${name}", "arguments": ${args}}\n</tool_call>`
const OSLO = hermes('weather', '{"city": "Oslo"}')

describe('calls of functions', () => {
  it('fit the schema of the function that is called', () => {
    const accepted = calls(HERMES)
    expect(accepted(OSLO)).toBe(true)
    expect(accepted(`${OSLO}\n${hermes('add', '{"any": [1]}')}`)).toBe(true)
    expect(accepted(hermes('weather', '{}'))).toBe(false)
    expect(accepted(hermes('add', '[1]'))).toBe(false)
    expect(accepted(hermes('other', '{}'))).toBe(false)
    expect(accepted('no call')).toBe(false)
  })

  it('are one where only one is allowed', () => {
    expect(calls(HERMES, { several: false })(`${OSLO}\n${OSLO}`)).toBe(false)
  })

  it('stand between texts where the model may choose', () => {
    const accepted = calls(HERMES, { text: true })
    expect(['', 'a < b <tool', `Let me see.\n${OSLO}`, `${OSLO}\n${OSLO} done`].map(accepted)).toEqual([
      true,
      true,
      true,
      true,
    ])
    expect([hermes('weather', '{}'), 'text <tool_call> text'].map(accepted)).toEqual([false, false])
  })

  it.each([
    [
      'Mistral',
      '[TOOL_CALLS]',
      '[TOOL_CALLS][{"name": "weather", "arguments": {"city":"x"}}, {"name": "add", "arguments": {}}]',
      '[TOOL_CALLS][{"name": "weather", "arguments": {}}]',
    ],
    [
      'newer Mistral',
      '[TOOL_CALLS]n[ARGS]{}',
      '[TOOL_CALLS]weather[ARGS]{"city": "x"}[TOOL_CALLS]add[ARGS]{}',
      '[TOOL_CALLS]weather[ARGS]{}',
    ],
    [
      'Mistral with ids',
      '[TOOL_CALLS]n[CALL_ID]i[ARGS]',
      '[TOOL_CALLS]add[CALL_ID]abc123XYZ[ARGS]{}',
      '[TOOL_CALLS]add[CALL_ID]a[ARGS]{}',
    ],
    [
      'Llama',
      '<|python_tag|> parameters',
      '{"name": "add", "parameters": {}}; {"name": "weather", "parameters": {"city": "x"}}',
      '{"name": "weather", "parameters": {"city": 1}}',
    ],
  ])('%s: are read back as they were written', (_, template, valid, invalid) => {
    const format = toolFormatOf(template)!
    const [open] = format.open as [string]
    for (const text of [false, true]) {
      const accepted = calls(template, { text })
      expect([accepted(valid), accepted(invalid)]).toEqual([true, false])
    }
    expect(calls(template, { text: true })('Hello')).toBe(true)
    expect(format.parse(valid.startsWith(open) ? valid.slice(open.length) : valid)).not.toBeNull()
  })

  it('may be marked by special tokens, which no text has', () => {
    const { syntax } = toolFormatOf('[TOOL_CALLS]n[ARGS]{}')!
    const automaton = automatonFor({ type: 'calls', syntax, tools: [ADD], several: false, text: false })
    let state = automaton.start().step(MARKER_BYTE)?.step(0) ?? null
    for (const byte of Buffer.from('add')) state = state?.step(byte) ?? null
    state = state?.step(MARKER_BYTE)?.step(2) ?? null
    for (const byte of Buffer.from('{}')) state = state?.step(byte) ?? null
    expect(state?.canEnd).toBe(true)
    expect(automatonFor({ type: 'regex', pattern: '[^]*' }).start().step(MARKER_BYTE)).toBeNull()
  })

  it.each([
    ['an unknown keyword', { minimun: 1 }, '`weather`: #: '],
    ['arguments that are no object', { type: 'string' }, 'arguments are an object'],
  ])('%s is refused with the name of the tool', (_, schema, part) => {
    expect(() => calls(HERMES, { tools: [{ name: 'weather', schema, ordered: true }] })).toThrow(part)
  })
})
