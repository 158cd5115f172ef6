import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { TokenMasks } from '../../src/grammar/token-masks.ts'
import { TokenMatcher } from '../../src/grammar/token-matcher.ts'
import type { Automaton, State } from '../../src/grammar/automaton.ts'
import { automatonFor, schemaAutomaton, testTokens, testVocabulary, tokensOf } from '../support/grammar.ts'

const TOKENS = testTokens()
const VOCABULARY = testVocabulary()

const AUTOMATA: Record<string, Automaton> = {
  'free text': schemaAutomaton({ type: 'string' }),
  'short text': schemaAutomaton({ type: 'string', maxLength: 5 }),
  'any JSON': schemaAutomaton(true),
  'a pattern': schemaAutomaton({ type: 'string', pattern: '^[a-z]+( [a-z]+)*$' }),
  'names and others': schemaAutomaton({
    type: 'object',
    properties: { name: { type: 'string' }, id: { minimum: 0 } },
    maxProperties: 3,
  }),
  'alternatives of texts': schemaAutomaton({
    anyOf: [
      { type: 'string', maxLength: 3 },
      { type: 'string', pattern: '^the' },
    ],
  }),
  'items that differ': schemaAutomaton({ type: 'array', items: { enum: ['the', 'name'] }, uniqueItems: true }),
  'a regular expression': automatonFor({ type: 'regex', pattern: '(the|name)?[0-9]{2,3}' }),
  choices: automatonFor({ type: 'choice', choices: ['positive', 'pos', '日本'] }),
}

function byHand(state: State): number[] {
  return TOKENS.flatMap((bytes, token) => {
    let next: State | null = state
    for (const byte of bytes) next = next?.step(byte) ?? null
    return next ? [token] : []
  })
}

describe('masks of tokens', () => {
  it.each(Object.keys(AUTOMATA))('%s: are what trying every token gives', (name) => {
    const automaton = AUTOMATA[name]!
    fc.assert(
      fc.property(fc.array(fc.nat(), { maxLength: 25 }), (choices) => {
        const matcher = TokenMatcher.start(automaton, new TokenMasks(VOCABULARY, 2 ** 20))!
        let state = automaton.start()
        for (const choice of choices) {
          const allowed = byHand(state)
          expect(tokensOf(matcher.mask())).toEqual(allowed)
          if (allowed.length === 0) return
          const token = allowed[choice % allowed.length]!
          expect(matcher.accept(token)).toBe(true)
          for (const byte of TOKENS[token]!) state = state.step(byte)!
        }
      }),
      { numRuns: 25 },
    )
  })

  it('are the old ones after tokens are taken back', () => {
    const matcher = TokenMatcher.start(AUTOMATA['any JSON']!, new TokenMasks(VOCABULARY, 2 ** 20))!
    const before = tokensOf(matcher.mask())
    const fork = matcher.fork()
    for (const byte of Buffer.from('{"a": [1')) expect(matcher.accept(byte)).toBe(true)
    expect(matcher.accept('}'.charCodeAt(0))).toBe(false)
    matcher.rollback(8)
    expect(tokensOf(matcher.mask())).toEqual(before)
    expect(tokensOf(fork.mask())).toEqual(before)
  })

  it('are computed again when the oldest were given up', () => {
    const masks = new TokenMasks(VOCABULARY, 1)
    const matcher = TokenMatcher.start(AUTOMATA['any JSON']!, masks)!
    const first = tokensOf(matcher.mask())
    const text = '[' + '[],'.repeat(90)
    for (const byte of Buffer.from(text)) {
      expect(matcher.accept(byte)).toBe(true)
      matcher.mask()
    }
    matcher.rollback(text.length)
    expect(tokensOf(matcher.mask())).toEqual(first)
  })

  it('name the only token that may follow', () => {
    const matcher = TokenMatcher.start(
      automatonFor({ type: 'regex', pattern: '\\x00\\x01?' }),
      new TokenMasks(VOCABULARY, 2 ** 20),
    )!
    expect(matcher.forced()).toBe(0)
    matcher.accept(0)
    expect(matcher.forced()).toBeNull()
  })
})
