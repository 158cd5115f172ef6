import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { jsonFields } from '../../src/evaluation/json-scores.ts'
import { bootstrap, mcNemar } from '../../src/evaluation/statistics.ts'
import { exactMatch, normalised, normalisedMatch, rougeL, tokenF1 } from '../../src/evaluation/text-scores.ts'

interface Reference {
  readonly texts: readonly {
    readonly answer: string
    readonly expected: string
    readonly normalised: string
    readonly token_f1: number
    readonly rouge_l: number
  }[]
  readonly mcnemar: readonly { readonly only_a: number; readonly only_b: number; readonly p_value: number }[]
  readonly intervals: readonly {
    readonly values: readonly number[]
    readonly confidence: number
    readonly low: number
    readonly high: number
  }[]
}

const reference = JSON.parse(
  readFileSync(new URL('../fixtures/evaluation/scores.json', import.meta.url), 'utf8'),
) as Reference

describe('scores of texts', () => {
  it.each(reference.texts)('of $answer are those of rouge_score and SQuAD’s script', (text) => {
    expect(normalised(text.answer)).toBe(text.normalised)
    expect(tokenF1(text.answer, text.expected)).toBeCloseTo(text.token_f1, 12)
    expect(rougeL(text.answer, text.expected)).toBeCloseTo(text.rouge_l, 12)
  })

  it('tell exact from normalised', () => {
    expect(exactMatch(' ab\n', 'ab')).toBe(1)
    expect(exactMatch('Ab', 'ab')).toBe(0)
    expect(normalisedMatch('The Ab.', 'ab')).toBe(1)
    expect(normalisedMatch('abc', 'ab')).toBe(0)
  })
})

describe('jsonFields', () => {
  it('compares field by field, whatever the order and the blanks', () => {
    const expected = '{"name":"Ann","lines":[{"sku":1,"n":2}],"note":null,"tags":[]}'
    expect(jsonFields('{ "tags": [], "note": null, "lines": [{"n": 2, "sku": 1}], "name": "Ann" }', expected)).toEqual({
      share: 1,
      fields: { name: true, 'lines[0].sku': true, 'lines[0].n': true, note: true, tags: true },
    })
    const score = jsonFields('{"name":"Anna","lines":[{"sku":1,"n":"2"}],"note":null,"more":1}', expected)
    expect(score.fields).toMatchObject({ name: false, 'lines[0].sku': true, 'lines[0].n': false, tags: false })
    // Two of the five expected fields and the one nobody expected.
    expect(score.share).toBeCloseTo(2 / 6, 12)
  })

  it('gives nothing for what is no JSON', () => {
    expect(jsonFields('Sure! {"a":1}', '{"a":1}')).toEqual({ share: 0, fields: { a: false } })
    expect(jsonFields('3', '3').share).toBe(1)
  })
})

describe('statistics', () => {
  it.each(reference.mcnemar)('McNemar of $only_a and $only_b is that of statsmodels', ({ only_a, only_b, p_value }) => {
    const a = [...Array<boolean>(only_a).fill(true), ...Array<boolean>(only_b).fill(false), true, false]
    const b = [...Array<boolean>(only_a).fill(false), ...Array<boolean>(only_b).fill(true), true, false]
    const found = mcNemar(a, b)
    expect(found).toMatchObject({ only_a, only_b })
    expect(Math.abs(found.p_value / p_value - 1)).toBeLessThan(1e-9)
  })

  it.each(reference.intervals)('bootstrap at $confidence agrees with scipy’s percentile interval', async (interval) => {
    const mean = (sums: readonly number[], count: number): number => sums[0]! / count
    const items = interval.values.map((value) => [value])
    const options = { confidence: interval.confidence, seed: 3 }
    const found = await bootstrap(items, mean, options)
    const width = interval.high - interval.low
    expect(Math.abs(found.low - interval.low)).toBeLessThan(0.12 * width)
    expect(Math.abs(found.high - interval.high)).toBeLessThan(0.12 * width)
    expect(found.value).toBeCloseTo(interval.values.reduce((sum, value) => sum + value, 0) / items.length, 12)
    expect(await bootstrap(items, mean, options)).toEqual(found)
  })
})
