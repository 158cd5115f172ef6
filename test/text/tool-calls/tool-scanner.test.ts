import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { ToolCall } from '../../../src/text/tool-calls/tool-format.ts'
import { callOpening } from '../../../src/core/call-syntax.ts'
import { toolFormatOf } from '../../../src/text/tool-calls/tool-format.ts'
import { ToolScanner } from '../../../src/text/tool-calls/tool-scanner.ts'

const TEMPLATES = {
  hermes: 'answer with <tool_call>{"name": …}</tool_call>',
  mistral: '[TOOL_CALLS][{…}]',
  llama: 'Respond with {"name": …, "parameters": …} <|python_tag|>',
}
const NAMES = new Set(['weather', 'add'])

function scan(template: keyof typeof TEMPLATES, pieces: readonly string[]): { text: string; calls: ToolCall[] } {
  const scanner = new ToolScanner(toolFormatOf(TEMPLATES[template])!, NAMES)
  const results = [...pieces.map((piece) => scanner.push(piece)), scanner.flush()]
  return { text: results.map(({ text }) => text).join(''), calls: results.flatMap(({ calls }) => calls) }
}

const OSLO = { name: 'weather', arguments: '{"city": "Oslo"}' }
const ADD = { name: 'add', arguments: '{"a":9007199254740993,"b":1.0}' }
const WEATHER_JSON = '{"name": "weather", "arguments": {"city": "Oslo"}}'
const ADD_JSON = '{"arguments":{"a":9007199254740993,"b":1.0},"name":"add"}'

const CASES: readonly [keyof typeof TEMPLATES, string, string, readonly ToolCall[]][] = [
  ['hermes', 'plain text, 1 < 2', 'plain text, 1 < 2', []],
  ['hermes', `<tool_call>\n${WEATHER_JSON}\n</tool_call>`, '', [OSLO]],
  [
    'hermes',
    `See: \n<tool_call>${WEATHER_JSON}</tool_call>\n<tool_call>${ADD_JSON}</tool_call>\n`,
    'See:',
    [OSLO, ADD],
  ],
  ['hermes', `<tool_call>${WEATHER_JSON}</tool_call>\nDone.`, '\nDone.', [OSLO]],
  ['hermes', `<tool_call>${WEATHER_JSON}`, '', [OSLO]],
  ['hermes', 'a <tool_call>no json</tool_call> b', 'a <tool_call>no json</tool_call> b', []],
  ['hermes', 'a <tool_call>{"name": "weather", "argu', 'a <tool_call>{"name": "weather", "argu', []],
  [
    'hermes',
    '<tool_call>{"name": "other", "arguments": {}}</tool_call>',
    '<tool_call>{"name": "other", "arguments": {}}</tool_call>',
    [],
  ],
  [
    'hermes',
    '<tool_call>{"name": "add", "arguments": "{\\"a\\": 1}"}</tool_call>',
    '',
    [{ name: 'add', arguments: '{"a": 1}' }],
  ],
  [
    'hermes',
    '<tool_call>{"name": "add", "arguments": [1]}</tool_call>',
    '<tool_call>{"name": "add", "arguments": [1]}</tool_call>',
    [],
  ],
  [
    'hermes',
    `<tool_call>{"id": 3, "name": "add", "arguments": {"s": "} \\" {"}, "x": null}</tool_call>`,
    '',
    [{ name: 'add', arguments: '{"s": "} \\" {"}' }],
  ],
  ['mistral', `[TOOL_CALLS][${WEATHER_JSON}, ${ADD_JSON}]`, '', [OSLO, ADD]],
  ['mistral', `Sure. [TOOL_CALLS] [${WEATHER_JSON}]`, 'Sure.', [OSLO]],
  [
    'mistral',
    '[TOOL_CALLS]weather[ARGS]{"city": "Oslo"}[TOOL_CALLS]add[CALL_ID]abc[ARGS]{}',
    '',
    [OSLO, { name: 'add', arguments: '{}' }],
  ],
  ['mistral', '[TOOL_CALLS]weather{"city": "Oslo"}', '', [OSLO]],
  ['mistral', '[TOOL_CALLS][1]', '[TOOL_CALLS][1]', []],
  ['llama', '{"name": "weather", "parameters": {"city": "Oslo"}}', '', [OSLO]],
  [
    'llama',
    ' <|python_tag|>{"name": "weather", "parameters": {"city": "Oslo"}}; {"name": "add", "parameters": {}}',
    '',
    [OSLO, { name: 'add', arguments: '{}' }],
  ],
  ['llama', '{"name": "weather"}', '{"name": "weather"}', []],
  ['llama', '{"a": 1} is JSON', '{"a": 1} is JSON', []],
  ['llama', 'The call {"name": "weather", "parameters": {}}', 'The call {"name": "weather", "parameters": {}}', []],
  ['llama', '  ', '  ', []],
]

describe('ToolScanner', () => {
  it.each(CASES)('%s: %s', (template, answer, text, calls) => {
    expect(scan(template, [answer])).toEqual({ text, calls })
    expect(scan(template, [...answer])).toEqual({ text, calls })
  })

  it('does not depend on how the answer is cut', () => {
    const fragments = fc.constantFrom(
      '<tool_call>',
      '</tool_call>',
      WEATHER_JSON,
      ADD_JSON,
      '{',
      '}',
      ' ',
      '\n',
      'a',
      '<',
      '"',
    )
    fc.assert(
      fc.property(fc.array(fragments, { maxLength: 12 }), fc.array(fc.nat(200), { maxLength: 8 }), (parts, cuts) => {
        const answer = parts.join('')
        const places = [...new Set(cuts.map((cut) => cut % (answer.length + 1)))].sort((a, b) => a - b)
        const pieces = [0, ...places].map((from, i) => answer.slice(from, places[i]))
        expect(scan('hermes', pieces)).toEqual(scan('hermes', [answer]))
      }),
      { numRuns: 500 },
    )
  })

  it('sends plain text on without delay', () => {
    const scanner = new ToolScanner(toolFormatOf(TEMPLATES.hermes)!, NAMES)
    expect(scanner.push('one <').text).toBe('one')
    expect(scanner.push(' two').text).toBe(' < two')
  })
})

const OPENINGS: readonly (readonly [string, string | null, string, string])[] = [
  [TEMPLATES.hermes, null, '<tool_call>\n{"name":', ' "weather", "arguments": {"city": "Oslo"}}\n</tool_call>'],
  [TEMPLATES.hermes, 'weather', '<tool_call>\n{"name": "weather", "arguments":', ' {"city": "Oslo"}}</tool_call>'],
  [TEMPLATES.mistral, null, '[TOOL_CALLS][{"name":', '"weather", "arguments": {"city": "Oslo"}}]'],
  ['[TOOL_CALLS] [', 'weather', '[TOOL_CALLS] [{"name": "weather", "arguments":', ' {"city": "Oslo"}}]'],
  ['[TOOL_CALLS]n[ARGS]{}', null, '[TOOL_CALLS]', 'weather[ARGS]{"city": "Oslo"}'],
  ['[TOOL_CALLS]n[ARGS]{}', 'weather', '[TOOL_CALLS]weather[ARGS]', '{"city": "Oslo"}'],
  ['[TOOL_CALLS]n[CALL_ID]i[ARGS]{}', 'weather', '[TOOL_CALLS]weather[CALL_ID]', 'i1[ARGS]{"city": "Oslo"}'],
  [TEMPLATES.llama, null, '{"name":', ' "weather", "parameters": {"city": "Oslo"}}'],
  [TEMPLATES.llama, 'weather', '{"name": "weather", "parameters":', ' {"city": "Oslo"}}'],
]

describe('a call that is begun in the prompt', () => {
  it.each(OPENINGS)('%s for %s: %s', (template, name, opening, answer) => {
    const format = toolFormatOf(template)!
    expect(callOpening(format.syntax, name)).toBe(opening)
    const scanner = new ToolScanner(format, NAMES, opening)
    const results = [...[...answer].map((piece) => scanner.push(piece)), scanner.flush()]
    expect(results.flatMap(({ calls }) => calls)).toEqual([OSLO])
    expect(results.map(({ text }) => text).join('')).toBe('')
  })

  it('is text with its beginning when it becomes none', () => {
    const format = toolFormatOf(TEMPLATES.hermes)!
    const scanner = new ToolScanner(format, NAMES, callOpening(format.syntax, 'add'))
    const results = [scanner.push(' no'), scanner.flush()]
    expect(results.map(({ text }) => text).join('')).toBe('<tool_call>\n{"name": "add", "arguments": no')
    expect(new ToolScanner(format, NAMES, callOpening(format.syntax, null)).flush().text).toBe('<tool_call>\n{"name":')
  })
})

describe('toolFormatOf', () => {
  it.each(['{{ messages }}', '<tool_call><function=name></function></tool_call>', 'ipython'])(
    'knows none in %s',
    (source) => {
      expect(toolFormatOf(source)).toBeNull()
    },
  )
})
