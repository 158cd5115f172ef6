import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Detokenizer } from '../../src/text/detokenizer.ts'
import { Tokenizer } from '../../src/text/tokenizer.ts'
import { sentencePieceFiles, temporaryFolder } from '../support/model-folder.ts'

const styles = {
  'byte-level': () => new URL('../fixtures/conformance/qwen3/model/', import.meta.url).pathname,
  'byte-fallback': () => temporaryFolder(sentencePieceFiles()),
}

function stream(tokenizer: Tokenizer, ids: readonly number[], skipSpecialTokens: boolean): string {
  const detokenizer = new Detokenizer(tokenizer, { skipSpecialTokens })
  return ids.map((id) => detokenizer.push(id)).join('') + detokenizer.flush()
}

describe.each(Object.entries(styles))('Detokenizer of a %s vocabulary', (_, folder) => {
  it('gives the text of decode for any ids, also invalid ones', async () => {
    const tokenizer = await Tokenizer.load(await folder())
    const ids = fc.array(fc.oneof(fc.nat(tokenizer.vocabSize + 3), fc.integer({ min: 100, max: 260 })), {
      maxLength: 40,
    })
    fc.assert(
      fc.property(ids, fc.boolean(), (ids, skipSpecialTokens) => {
        expect(stream(tokenizer, ids, skipSpecialTokens)).toBe(tokenizer.decode(ids, { skipSpecialTokens }))
      }),
      { numRuns: 1000 },
    )
  })

  it('gives back any text and never shows a part of a character', async () => {
    const tokenizer = await Tokenizer.load(await folder())
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 30 }), (text) => {
        const ids = tokenizer.encode(text, { addSpecialTokens: false })
        const detokenizer = new Detokenizer(tokenizer)
        const pieces = ids.map((id) => detokenizer.push(id))
        expect(pieces.join('') + detokenizer.flush()).toBe(tokenizer.decode(ids))
        if (!text.includes('\uFFFD')) expect(pieces.join('')).not.toContain('\uFFFD')
      }),
    )
  })
})

describe('Detokenizer', () => {
  it('holds an incomplete character back until it is complete, or until the end', async () => {
    const tokenizer = await Tokenizer.load(styles['byte-level']())
    const [first, second] = tokenizer.encode('é', { addSpecialTokens: false }) as [number, number]
    const detokenizer = new Detokenizer(tokenizer)
    expect([detokenizer.push(first), detokenizer.push(second), detokenizer.push(first)]).toEqual(['', 'é', ''])
    expect([detokenizer.flush(), detokenizer.flush()]).toEqual(['\uFFFD', ''])
  })

  it('leaves special tokens out unless asked', async () => {
    const tokenizer = await Tokenizer.load(styles['byte-level']())
    const ids = tokenizer.encode('a<|im_end|>b', { addSpecialTokens: false })
    expect(stream(tokenizer, ids, true)).toBe('ab')
    expect(stream(tokenizer, ids, false)).toBe('a<|im_end|>b')
  })
})
