import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Detokenizer } from '../../src/text/detokenizer.ts'
import { Tokenizer } from '../../src/text/tokenizer.ts'
import { sentencePieceFiles, temporaryFolder } from '../support/model-folder.ts'

const styles = {
  'byte-level': () => new URL('../fixtures/conformance/qwen3/model/', import.meta.url).pathname,
  'byte-fallback': () => temporaryFolder(sentencePieceFiles()),
}

/** The bytes of →, the first of them also after a space. */
const BYTE_PAIRS = {
  'tokenizer.json': {
    decoder: { type: 'ByteLevel' },
    model: { type: 'BPE', vocab: { â: 0, Ĩ: 1, Ĵ: 2, Ġ: 3, Ġâ: 4 }, merges: [['Ġ', 'â']] },
  },
  'tokenizer_config.json': {},
}

function stream(tokenizer: Tokenizer, ids: readonly number[], skipSpecialTokens: boolean): string {
  const detokenizer = new Detokenizer(tokenizer, { skipSpecialTokens })
  return ids.map((id) => detokenizer.push(id)).join('') + detokenizer.flush()
}

/** A run of bytes that is no UTF-8 is given up as a whole by `decode`; a stream has sent what was complete. */
function expectSameText(streamed: string, decoded: string): void {
  expect(streamed).toContain('\uFFFD')
  let at = 0
  for (const character of decoded.replaceAll('\uFFFD', '')) {
    at = streamed.indexOf(character, at) + character.length
    expect(at, JSON.stringify({ streamed, decoded })).toBeGreaterThanOrEqual(character.length)
  }
}

describe.each(Object.entries(styles))('Detokenizer of a %s vocabulary', (_, folder) => {
  it('gives the text of decode for any ids, also invalid ones', async () => {
    const tokenizer = await Tokenizer.load(await folder())
    const ids = fc.array(fc.oneof(fc.nat(tokenizer.vocabSize + 3), fc.integer({ min: 100, max: 260 })), {
      maxLength: 40,
    })
    fc.assert(
      fc.property(ids, fc.boolean(), (ids, skipSpecialTokens) => {
        const [streamed, decoded] = [
          stream(tokenizer, ids, skipSpecialTokens),
          tokenizer.decode(ids, { skipSpecialTokens }),
        ]
        if (tokenizer.byteStyle === 'byte-fallback' && decoded.includes('\uFFFD')) expectSameText(streamed, decoded)
        else expect(streamed).toBe(decoded)
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

  it('holds back a character that begins within the first token, after its space', async () => {
    const tokenizer = await Tokenizer.load(await temporaryFolder(BYTE_PAIRS))
    const detokenizer = new Detokenizer(tokenizer)
    expect([4, 1, 2].map((id) => detokenizer.push(id))).toEqual([' ', '', '→'])
  })

  it('leaves special tokens out unless asked', async () => {
    const tokenizer = await Tokenizer.load(styles['byte-level']())
    const ids = tokenizer.encode('a<|im_end|>b', { addSpecialTokens: false })
    expect(stream(tokenizer, ids, true)).toBe('ab')
    expect(stream(tokenizer, ids, false)).toBe('a<|im_end|>b')
  })
})
