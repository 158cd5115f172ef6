import { describe, expect, it } from 'vitest'
import { accepts, schemaAutomaton } from '../support/grammar.ts'

/** What a schema takes and what it does not. */
const CASES: readonly (readonly [string, unknown, readonly string[], readonly string[]])[] = [
  ['any JSON', true, ['{}', '[1, "a"]', 'null', '-0.5e3'], ['', '{', '01', '{a:1}', '[1,]', '"\n"']],
  [
    'integers between bounds',
    { type: 'integer', minimum: 3, maximum: 120 },
    ['3', '12', '120'],
    ['2', '121', '1', '3.5', '03', '-4'],
  ],
  [
    'negative bounds',
    { type: 'integer', minimum: -12, maximum: -3 },
    ['-12', '-3', '-10'],
    ['-2', '-13', '0', '-0', '5'],
  ],
  [
    'open bounds',
    { type: 'number', exclusiveMinimum: 0, exclusiveMaximum: 1 },
    ['0.5', '0.001'],
    ['0', '1', '0.0', '1.5'],
  ],
  [
    'multiples of decimals',
    { type: 'number', multipleOf: 0.05, minimum: 0, maximum: 1 },
    ['0.05', '0.1', '1', '0.95'],
    ['0.04', '0.051', '1.05'],
  ],
  [
    '64-bit bounds',
    { type: 'integer', minimum: -(2 ** 63), maximum: 2 ** 63 },
    ['9223372036854775807', '-1'],
    ['92233720368547758080'],
  ],
  [
    'integers that are not',
    { type: 'number', not: { type: 'integer' }, minimum: 0, maximum: 9 },
    ['0.5', '8.25'],
    ['1', '1.0', '9'],
  ],
  [
    'lengths in characters',
    { type: 'string', minLength: 2, maxLength: 3 },
    ['"ab"', '"日本語"', '"🙂🙂"', '"a\\n"'],
    ['"a"', '"abcd"', '"🙂"'],
  ],
  ['patterns anywhere in the text', { type: 'string', pattern: 'b+' }, ['"b"', '"abba"'], ['"aa"', '""']],
  [
    'escapes of surrogate pairs',
    { type: 'string', maxLength: 1 },
    ['"\\ud83d\\ude42"', '"\\u00e9"'],
    ['"\\ud83d"', '"\\ude42"', '"\\u0061b"'],
  ],
  [
    'properties in any order',
    {
      type: 'object',
      properties: { a: { type: 'integer' }, b: { type: 'boolean' } },
      required: ['a', 'b'],
      additionalProperties: false,
    },
    ['{"b":true,"a":1}', '{"a": 1, "b": false}', '{\n  "a": 1,\n  "b": true\n}'],
    ['{"a":1}', '{"a":1,"a":2,"b":true}', '{"a":1,"b":true,"c":1}'],
  ],
  [
    'other properties',
    { type: 'object', properties: { a: { type: 'integer' } }, additionalProperties: { type: 'string' } },
    ['{"b":"x","a":1}', '{}'],
    ['{"b":1}', '{"a":"x"}'],
  ],
  [
    'names by pattern',
    {
      type: 'object',
      patternProperties: { '^s_': { type: 'string' }, _n$: { maxLength: 2 } },
      additionalProperties: false,
    },
    ['{"s_n":"ab","s_":"abc"}'],
    ['{"s_n":"abc"}', '{"t":1}'],
  ],
  [
    'numbers of properties',
    { type: 'object', minProperties: 2, maxProperties: 2 },
    ['{"a":1,"b":2}'],
    ['{"a":1}', '{"a":1,"a":2}', '{"a":1,"b":2,"c":3}'],
  ],
  [
    'items that must differ',
    { type: 'array', uniqueItems: true },
    ['[1, 2, "1"]', '[{"a":1,"b":2},{"a":1}]'],
    ['[1, 1.0]', '[{"a":1,"b":2},{"b":2,"a":1}]', '[true,true]'],
  ],
  [
    'numbers of matching items',
    { type: 'array', contains: { type: 'string' }, minContains: 2, maxContains: 2 },
    ['["a",1,"b"]'],
    ['["a"]', '["a","b","c"]', '[1]'],
  ],
  ['exactly one of', { oneOf: [{ type: 'integer' }, { minimum: 2 }] }, ['1', '2.5', '"x"'], ['3', '1.5']],
  ['none of', { not: { type: ['string', 'object'] } }, ['1', '[]', 'null'], ['"a"', '{}']],
  [
    'conditions',
    {
      if: { properties: { k: { const: 1 } }, required: ['k'] },
      then: { required: ['v'] },
      else: { not: { required: ['v'] } },
    },
    ['{"k":1,"v":2}', '{"k":2}', '{}'],
    ['{"k":1}', '{"v":1}'],
  ],
  [
    'unevaluated properties',
    {
      allOf: [{ properties: { a: true } }],
      anyOf: [{ properties: { b: { const: 1 } }, required: ['b'] }, true],
      unevaluatedProperties: false,
    },
    ['{"a":1,"b":1}', '{"a":2}'],
    ['{"b":2}', '{"c":1}'],
  ],
  [
    'recursion',
    {
      $defs: { t: { type: 'object', properties: { t: { $ref: '#/$defs/t' } }, additionalProperties: false } },
      $ref: '#/$defs/t',
    },
    ['{"t":{"t":{}}}'],
    ['{"t":{"u":{}}}', '{"t":1}'],
  ],
  [
    'values of containers',
    { enum: [{ a: [1, 2] }, [], 'x'] },
    ['{"a": [1, 2]}', '[]', '"x"'],
    ['{"a":[1]}', '{"a":[1,2],"b":1}', '[1]'],
  ],
  [
    'older tuples',
    { type: 'array', items: [{ type: 'integer' }], additionalItems: false },
    ['[1]', '[]'],
    ['["a"]', '[1,2]'],
  ],
]

describe('schemas', () => {
  it.each(CASES)('%s', (_, schema, valid, invalid) => {
    const automaton = schemaAutomaton(schema)
    expect(valid.filter((text) => !accepts(automaton, text))).toEqual([])
    expect(invalid.filter((text) => accepts(automaton, text))).toEqual([])
  })

  it('fix the order of properties where they are strict', () => {
    const schema = {
      type: 'object',
      properties: { z: { type: 'integer' }, a: { type: 'integer' }, m: {} },
      required: ['z', 'm'],
    }
    const automaton = schemaAutomaton({ ...schema, additionalProperties: false }, true)
    expect(accepts(automaton, '{"z":1,"a":2,"m":3}')).toBe(true)
    expect(accepts(automaton, '{"z":1,"m":3}')).toBe(true)
    expect(accepts(automaton, '{"a":2,"z":1,"m":3}')).toBe(false)
  })

  it('never lead to where no answer can end', () => {
    // `b` can never be there, so neither can `c`, nor an object of two properties.
    const schema = {
      type: 'object',
      properties: { a: true, b: false, c: { type: 'object', required: ['b'], properties: { b: false } } },
      additionalProperties: false,
    }
    const automaton = schemaAutomaton(schema)
    const state = [...Buffer.from('{"')].reduce(
      (at, byte) => at?.step(byte) ?? null,
      automaton.start() as ReturnType<typeof automaton.start> | null,
    )
    expect([...'abc'].filter((name) => state!.step(name.charCodeAt(0)) !== null)).toEqual(['a'])
    expect(() => schemaAutomaton({ ...schema, minProperties: 2 })).toThrow('no value fits')
  })
})
