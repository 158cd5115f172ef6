import { describe, expect, it } from 'vitest'
import { InertTexts } from '../../src/text/inert.ts'
import { Tokenizer } from '../../src/text/tokenizer.ts'

const DEMO = new URL('../../models/demo', import.meta.url).pathname

describe('texts from outside', () => {
  const inert = new InertTexts(['<s>', '</s>', 's>x', '|', '<|end|>'])

  it('pass as they are where no special token is written in them', () => {
    const value = { text: 'a <s', list: ['b'] }
    expect(inert.of(value)).toEqual({ value, mark: null })
    expect(inert.of(value).value).toBe(value)
  })

  it('get a mark into every special token, overlapping ones too, wherever they stand', () => {
    const { value, mark } = inert.of([{ content: '<s>x<|end|>', deep: { name: '</s>' } }, 5, null])
    expect(mark).toHaveLength(1)
    const texts = JSON.stringify(value)
    for (const token of ['<s>', '</s>', 's>x', '<|end|>']) expect(texts).not.toContain(token)
    expect(texts.replaceAll(mark ?? '', '')).toBe('[{"content":"<s>x<|end|>","deep":{"name":"</s>"}},5,null]')
  })

  it('cannot bring the mark along themselves', () => {
    const all = Array.from({ length: 32 }, (_, i) => String.fromCharCode(0xfdd0 + i)).join('')
    const { value, mark } = inert.of(`${all}<s>`)
    expect(value.split(mark ?? '').length - 1).toBe(1)
    const other = inert.of(`\uFDD0<s>`)
    expect(other.mark).not.toBe('\uFDD0')
  })
})

describe('the demo model’s special tokens', () => {
  it('are found in a text, but not in an inert one, which keeps its characters', async () => {
    const tokenizer = await Tokenizer.load(DEMO)
    const special = [...tokenizer.specialIds].map((id) => tokenizer.tokenText(id)).filter((text) => text.length > 1)
    const text = `say ${special.join(' and ')} now`
    const found = tokenizer.encode(text, { addSpecialTokens: false })
    expect(found.filter((id) => tokenizer.specialIds.has(id))).toHaveLength(special.length)
    const { value, mark } = tokenizer.inert.of(text)
    const ids = tokenizer.encode(value, { addSpecialTokens: false, mark })
    expect(ids.filter((id) => tokenizer.specialIds.has(id))).toEqual([])
    expect(tokenizer.decode(ids)).toBe(text)
  })
})
