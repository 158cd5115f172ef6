import { describe, expect, it } from 'vitest'
import type { Constraint } from '../../src/core/constraint.ts'
import { Constraints } from '../../src/engine/constraint.ts'
import type { GrammarSpec } from '../../src/grammar/grammar.ts'
import { compileGrammar } from '../../src/grammar/grammar.ts'
import { GRAMMAR_LIMITS } from '../../src/grammar/limits.ts'
import { vocabularyOf } from '../../src/grammar/vocabulary.ts'

const TOKENS = ['a', 'b', 'ab', '', 'c'].map((text) => new TextEncoder().encode(text))
const END = 3

function constraint(spec: GrammarSpec, begun = ''): Constraint {
  const vocabulary = vocabularyOf(TOKENS, TOKENS.length)
  return {
    digest: JSON.stringify(spec),
    grammar: compileGrammar(spec, GRAMMAR_LIMITS),
    vocabulary,
    begun,
    endTokens: [END],
  }
}

function left(logits: Float32Array): number[] {
  return [...logits.keys()].filter((token) => logits[token] !== -Infinity)
}

describe('a sequence that is held to a grammar', () => {
  it('gets only tokens that may follow, and the end where it may end', () => {
    const sequence = new Constraints().of(constraint({ type: 'choice', choices: ['ab', 'abc'] }), [])
    const allowed = (): number[] => {
      const logits = new Float32Array(TOKENS.length)
      sequence.restrict(logits)
      return left(logits)
    }
    expect(allowed()).toEqual([0, 2])
    expect(sequence.accept(0)).toBe(true)
    expect(allowed()).toEqual([1])
    expect(sequence.accept(1)).toBe(true)
    expect(allowed()).toEqual([END, 4])
    expect(sequence.complete).toBe(false)
    expect(sequence.accept(4)).toBe(true)
    expect(sequence.complete).toBe(true)
  })

  it('is over with an ending token', () => {
    const sequence = new Constraints().of(constraint({ type: 'regex', pattern: 'a*' }), [END])
    expect(sequence.accept(END)).toBe(false)
  })

  it('goes on after what the prompt begins', () => {
    const spec = { type: 'choice', choices: ['abc'] } as const
    const sequence = new Constraints().of(constraint(spec, 'ab'), [])
    expect(sequence.accept(4)).toBe(true)
    expect(() => new Constraints().of(constraint(spec, 'x'), [])).toThrow('cannot begin')
  })

  it('is stuck where the vocabulary lacks what is due', () => {
    const sequence = new Constraints().of(constraint({ type: 'choice', choices: ['ax'] }), [])
    expect(sequence.accept(0)).toBe(true)
    expect(sequence.stuck).toBe(true)
  })

  it('shares states and masks with others of the same grammar', () => {
    const constraints = new Constraints()
    const one = constraint({ type: 'choice', choices: ['ab'] })
    for (let i = 0; i < 3; i++) constraints.of(one, []).restrict(new Float32Array(TOKENS.length))
    expect(constraints.stats).toMatchObject({ masks: 1, maskHits: 2 })
  })
})
