import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { TokenMasks } from '../../src/grammar/token-masks.ts'
import { TokenMatcher } from '../../src/grammar/token-matcher.ts'
import { randomFrom, schemaAutomaton, testTokens, testVocabulary, tokensOf, validatorOf } from '../support/grammar.ts'

const FILE = new URL('../fixtures/grammar/real-shapes.json', import.meta.url)
const SCHEMAS = JSON.parse(readFileSync(FILE, 'utf8')) as Record<string, object>
const TOKENS = testTokens()
const MASKS = new TokenMasks(testVocabulary(), 2 ** 24)
const WALKS = 12
/** Past it a walk takes what closes something. */
const LONG = 80

/** One answer by tokens that the masks allow, chosen at random; null where it does not end. */
function walk(automaton: ReturnType<typeof schemaAutomaton>, random: () => number): string | null {
  const matcher = TokenMatcher.start(automaton, MASKS)!
  const bytes: number[] = []
  for (let steps = 0; steps < 2_000; steps++) {
    const tokens = tokensOf(matcher.mask())
    if (matcher.canEnd && (tokens.length === 0 || random() < 0.2)) return Buffer.from(bytes).toString()
    expect(tokens, `nothing may follow ${Buffer.from(bytes).toString()}`).not.toEqual([])
    const closing = tokens.filter((token) => /["}\]]/.test(Buffer.from(TOKENS[token]!).toString()))
    const pool = closing.length > 0 && (steps > LONG || random() < 0.2) ? closing : tokens
    const token = pool[Math.floor(random() * pool.length)]!
    expect(matcher.accept(token)).toBe(true)
    bytes.push(...TOKENS[token]!)
  }
  return null
}

describe('answers by random tokens', () => {
  it.each(Object.keys(SCHEMAS))('%s: all of them are valid', (name) => {
    const schema = SCHEMAS[name]!
    const valid = validatorOf(schema)
    const random = randomFrom(name.length)
    let ended = 0
    for (const ordered of [false, true]) {
      const automaton = schemaAutomaton(schema, ordered)
      for (let i = 0; i < WALKS; i++) {
        const answer = walk(automaton, random)
        if (answer === null) continue
        ended++
        expect(valid(JSON.parse(answer)), answer).toBe(true)
      }
    }
    // Recursive schemas may grow for ever when chance decides.
    expect(ended).toBeGreaterThan(WALKS / 2)
  })
})
