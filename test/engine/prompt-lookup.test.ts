import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { NgramTable, ngramKey } from '../../src/engine/ngram-table.ts'
import { AnswerMemory, PromptLookup } from '../../src/engine/prompt-lookup.ts'

function lookup(prompt: readonly number[], memory = new AnswerMemory()): PromptLookup {
  return new PromptLookup(Int32Array.from(prompt), prompt.length + 400, memory)
}

describe('NgramTable', () => {
  it('knows what followed last, and how often in a row', () => {
    const table = new NgramTable(64)
    const key = ngramKey(Int32Array.of(3, 1, 2), 3, 2)
    expect(table.find(key)).toBeNull()
    for (const token of [5, 5, 5]) table.note(key, token)
    expect(table.find(key)).toEqual({ token: 5, streak: 2 })
    table.note(key, 0)
    expect(table.find(key)).toEqual({ token: 0, streak: 0 })
  })

  it('tells nothing of an n-gram whose place another one took', () => {
    const table = new NgramTable(16)
    const keys = Array.from({ length: 17 }, (_, i) => ngramKey(Int32Array.of(i), 1, 1))
    for (const [i, key] of keys.entries()) table.note(key, i)
    const found = keys.map((key) => table.find(key)?.token ?? null)
    expect(found).toContain(null)
    for (const [i, token] of found.entries()) expect([null, i]).toContain(token)
  })

  it('tells n-grams of other lengths and orders apart', () => {
    const tokens = Int32Array.of(0, 0, 0, 1, 0)
    const keys = [1, 2, 3, 4, 5].flatMap((end) => Array.from({ length: end }, (_, i) => ngramKey(tokens, end, i + 1)))
    // Of the 15, six are 0, two are 0 0, and the rest differ: 1, 01, 10, 000, 001, 010, 0001, 0010, 00010.
    expect(new Set(keys).size).toBe(11)
  })
})

describe('PromptLookup', () => {
  it('goes on as the same tokens did before', () => {
    expect(lookup([1, 2, 3, 4, 5, 6, 9, 2, 3]).draft(3).tokens).toEqual([4, 5, 6])
  })

  it('prefers the longer match to the later one', () => {
    expect(lookup([7, 8, 1, 9, 8, 2, 7, 8]).draft(1).tokens).toEqual([1])
  })

  it('finds nothing where the last token is new', () => {
    expect(lookup([1, 2, 3]).draft(8)).toEqual({ tokens: [], chances: [] })
    expect(lookup([1]).draft(8)).toEqual({ tokens: [], chances: [] })
  })

  it('takes up where the last draft was wrong', () => {
    const text = lookup([1, 2, 3, 4, 9, 1])
    expect(text.draft(2).tokens).toEqual([2, 3])
    for (const token of [2, 7, 1]) text.append(token)
    expect(text.length).toBe(9)
    expect(text.draft(2).tokens).toEqual([2, 7])
  })

  it('knows earlier answers, but only those of its memory', () => {
    const memory = new AnswerMemory()
    const first = lookup([50, 51], memory)
    for (const token of [10, 11, 12, 13]) first.append(token)
    expect(lookup([60, 51], memory).draft(4).tokens).toEqual([10, 11, 12, 13])
    expect(lookup([60, 51]).draft(4).tokens).toEqual([])
  })

  it('remembers answers, not prompts', () => {
    const memory = new AnswerMemory()
    lookup([1, 2, 3, 4], memory).append(5)
    expect(lookup([9, 1], memory).draft(4).tokens).toEqual([])
  })

  it('says how likely tokens are, by its success rates', () => {
    const text = lookup([1, 2, 3, 4, 1, 2])
    const { tokens, chances } = text.draft(2)
    // Matches of 2 and 3 tokens, never tried before: 2/4, then 3/5 of that.
    expect(tokens).toEqual([3, 4])
    expect(chances.map((chance) => chance.toFixed(5))).toEqual(['0.50000', '0.30000'])
  })

  it('trusts its guesses less while they keep failing, and more again where they come true', () => {
    const text = lookup([1, 2, 3, 4, 1, 2, 3, 4])
    // All tokens were there before, and what follows them is new each time.
    const expected = Array.from({ length: 120 }, (_, step) => {
      const { chances } = text.draft(8)
      text.append((step * step * 7 + (step >> 3)) % 61)
      return chances.reduce((sum, chance) => sum + chance, 0)
    })
    expect(Math.max(...expected.slice(60))).toBeLessThan(0.5)
    for (let step = 0; step < 100; step++) text.append(100 + (step % 5))
    const { tokens, chances } = text.draft(8)
    expect(tokens).toEqual([100, 101, 102, 103, 104, 100, 101, 102])
    expect(chances[0]).toBeGreaterThan(0.9)
  })

  it('hands its experience on to the next of its memory', () => {
    const memory = new AnswerMemory()
    const first = lookup([1, 2, 3, 4, 5, 1, 2], memory)
    for (let step = 2; step < 200; step++) first.append(1 + (step % 5))
    const again = Array.from({ length: 42 }, (_, i) => 21 + (i % 5))
    const [fresh, experienced] = [lookup(again), lookup(again, memory)].map((text) => text.draft(3))
    expect(experienced!.tokens).toEqual([23, 24, 25])
    expect(experienced!.chances[2]).toBeGreaterThan(fresh!.chances[2]!)
  })

  it('drafts only what stood in the text after the same token, never more than asked for, and the same again', () => {
    const texts = fc.array(fc.nat({ max: 5 }), { minLength: 1, maxLength: 60 })
    fc.assert(
      fc.property(texts, texts, fc.nat({ max: 9 }), (prompt, completion, most) => {
        const text = lookup(prompt)
        for (const token of completion) text.append(token)
        const all = [...prompt, ...completion]
        const pairs = new Set(all.slice(1).map((token, i) => `${all[i]!} ${token}`))
        const { tokens, chances } = text.draft(most)
        expect(tokens.length).toBeLessThanOrEqual(most)
        expect(chances).toHaveLength(tokens.length)
        expect([...chances].sort((a, b) => b - a)).toEqual(chances)
        for (const [i, token] of tokens.entries())
          expect(pairs).toContain(`${i === 0 ? all.at(-1)! : tokens[i - 1]!} ${token}`)
        expect(text.draft(most)).toEqual({ tokens, chances })
      }),
    )
  })
})
