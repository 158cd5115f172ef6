import { describe, expect, it } from 'vitest'
import { TroupeError } from '../../src/core/errors.ts'
import { compileGrammar } from '../../src/grammar/grammar.ts'
import { GRAMMAR_LIMITS } from '../../src/grammar/limits.ts'
import { schemaAutomaton } from '../support/grammar.ts'

function refusal(schema: unknown): { code: string; message: string } {
  try {
    schemaAutomaton(schema)
  } catch (error) {
    if (error instanceof TroupeError) return { code: error.code, message: error.message }
    throw error
  }
  throw new Error('the schema was accepted')
}

function nested(depth: number): object {
  let schema: object = { type: 'string' }
  for (let i = 0; i < depth; i++) schema = { type: 'object', properties: { a: schema }, required: ['a'] }
  return schema
}

describe('refused schemas', () => {
  it.each([
    ['an unknown keyword', { type: 'string', minLenght: 3 }, 'unsupported_schema', '`minLenght`'],
    [
      'an unknown format',
      { properties: { a: { format: 'color' } } },
      'unsupported_schema',
      '#/properties/a: `format` "color"',
    ],
    ['another document', { $ref: 'https://example.org/x.json' }, 'unsupported_schema', '`https://example.org/x.json`'],
    ['backreferences', { pattern: '(a)\\1' }, 'invalid_request', '#/pattern'],
    ['lookbehind', { pattern: '(?<=a)b' }, 'invalid_request', 'lookbehind'],
    ['lookaheads in the middle', { pattern: '^a(?=b).*$' }, 'invalid_request', 'lookahead'],
    ['items that must not differ', { type: 'array', not: { uniqueItems: true } }, 'unsupported_schema', 'uniqueItems'],
    ['what nothing fits', { type: 'integer', minimum: 3, maximum: 2 }, 'invalid_request', 'no value fits'],
    [
      'what only endless values fit',
      {
        $ref: '#/$defs/a',
        $defs: { a: { type: 'object', required: ['a'], properties: { a: { $ref: '#/$defs/a' } } } },
      },
      'invalid_request',
      'no value fits',
    ],
    [
      'a loop of references',
      { $ref: '#/$defs/a', $defs: { a: { $ref: '#/$defs/b' }, b: { $ref: '#/$defs/a' } } },
      'invalid_request',
      'without end',
    ],
    ['a reference to nothing', { $ref: '#/$defs/none' }, 'invalid_request', 'names nothing'],
    ['an unknown type', { type: 'text' }, 'invalid_request', '"text"'],
    ['a wrong length', { maxLength: -1 }, 'invalid_request', '`maxLength`'],
    ['a huge length', { type: 'string', pattern: '^a', maxLength: 1e7 }, 'schema_too_complex', 'states'],
    ['a huge repetition', { pattern: '^(a{1,1000}){1,1000}$' }, 'schema_too_complex', '#/pattern'],
    ['an exponential pattern', { pattern: `(a|b)*a${'(a|b)'.repeat(40)}$` }, 'schema_too_complex', '#/pattern'],
    [
      'overlapping branches',
      {
        oneOf: Array.from({ length: 20 }, (_, i) => ({
          type: 'object',
          properties: Object.fromEntries(
            Array.from({ length: 20 }, (_, j) => [`p${j}`, { type: 'string', minLength: i }]),
          ),
        })),
      },
      'schema_too_complex',
      'alternatives',
    ],
    ['a deep schema', nested(500), 'invalid_request', 'nested too deeply'],
  ] as const)('%s', (_, schema, code, part) => {
    const started = performance.now()
    const found = refusal(schema)
    expect(found.code, found.message).toBe(code)
    expect(found.message).toContain(part)
    // The limit of time, not a promise of speed.
    expect(performance.now() - started).toBeLessThan(2 * GRAMMAR_LIMITS.milliseconds)
  })

  it('are too long', () => {
    const spec = { type: 'schema', schema: { const: 'x'.repeat(2e6) }, ordered: false, blanks: true } as const
    expect(() => compileGrammar(spec, GRAMMAR_LIMITS)).toThrow('1000000 are allowed')
  })
})
