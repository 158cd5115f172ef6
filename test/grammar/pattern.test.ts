import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { accepts, automatonFor, schemaAutomaton } from '../support/grammar.ts'

const PATTERNS = [
  '^a*b|c$',
  'a{2,3}',
  '^(?:a|bc)+$',
  '\\bab\\b',
  'a\\Bb',
  '^[^a-c]*$',
  '^\\w+ \\d?$',
  '^\\s|\\S{3}$',
  '^(?=.*a)(?!.*bb)[a-c ]+$',
  '^$|^.$',
  '(^a|b$)',
  '^\\p{Lu}\\p{Ll}*$',
  '[\\w-]+\\.',
  'é|日',
  '^(a?){5}$',
  '(?:)',
  '^[]*$',
  '^[^]$',
]

describe('patterns', () => {
  it.each(PATTERNS)('%s matches where JavaScript’s own does', (pattern) => {
    const automaton = schemaAutomaton({ type: 'string', pattern })
    const expression = new RegExp(pattern, 'u')
    const character = fc.constantFrom(...'aabbc -_.1éAÉ日🙂\n')
    fc.assert(
      fc.property(fc.array(character, { maxLength: 8 }), (characters) => {
        const text = characters.join('')
        expect(accepts(automaton, JSON.stringify(text)), text).toBe(expression.test(text))
      }),
      { numRuns: 300 },
    )
  })

  it('match the whole answer where it is a regular expression', () => {
    const automaton = automatonFor({ type: 'regex', pattern: '(yes|no)( [a-z]+)?' })
    expect(['yes', 'no way'].every((text) => accepts(automaton, text))).toBe(true)
    expect(['', 'yes!', 'x yes', '"yes"'].some((text) => accepts(automaton, text))).toBe(false)
  })

  it('read characters that are not written whole in one token', () => {
    const automaton = automatonFor({ type: 'choice', choices: ['日本', '🙂'] })
    expect(accepts(automaton, '🙂')).toBe(true)
    expect(accepts(automaton, '🙃')).toBe(false)
  })
})
