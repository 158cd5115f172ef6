import { describe, expect, it } from 'vitest'
import { TokenPipeline } from '../../../src/text/pipeline/pipeline.ts'

const MODEL = { type: 'BPE', vocab: { a: 0, b: 1, ab: 2 }, merges: [['a', 'b']] }
const added = (fields: object) => ({ added_tokens: [{ id: 3, content: '<x>', special: true, ...fields }] })

describe('TokenPipeline', () => {
  it('needs no more than a model', () => {
    const pipeline = TokenPipeline.read({ model: MODEL })
    expect(pipeline.encode('aab', true)).toEqual([0, 2])
    expect(pipeline.decode([0, 2, 77])).toBe('a ab')
  })

  it('takes half of a surrogate pair for an unknown character', () => {
    const pipeline = TokenPipeline.read({ model: { ...MODEL, vocab: { ...MODEL.vocab, '\uFFFD': 3 } } })
    expect(pipeline.encode('a\uD83Db', true)).toEqual([0, 3, 1])
  })

  it('takes more added tokens, in the place of its own of the same id, and stays as it is', () => {
    const token = { special: false, singleWord: false, lstrip: false, rstrip: false, normalized: false }
    const base = TokenPipeline.read({ model: MODEL, ...added({}) })
    const more = base.extended([{ ...token, id: 3, content: '<y>' }, { ...token, id: 7, content: '<z>' }]) // prettier-ignore
    expect(more.encode('a<y><z>', true)).toEqual([0, 3, 7])
    expect([more.tokenOf(3), more.tokenOf(7), more.tokenOf(2), more.size]).toEqual(['<y>', '<z>', 'ab', 8])
    expect(more.decode([3, 2, 7])).toBe('<y> ab <z>')
    expect(base.encode('a<x>', true)).toEqual([0, 3])
    expect([base.tokenOf(7), base.idOf('<y>'), base.size]).toEqual([null, null, 4])
  })

  it('encodes a long word in little time', () => {
    const pipeline = TokenPipeline.read({ model: MODEL })
    expect(pipeline.encode('ab'.repeat(50_000), true)).toHaveLength(50_000)
  })

  it.each<[string, object, RegExp]>([
    [
      'a normalizer',
      { normalizer: { type: 'Riddle' } },
      /^normalizer of type Riddle is not supported; supported: Sequence, NFC/,
    ],
    [
      'a normalizer in a sequence',
      { normalizer: { type: 'Sequence', normalizers: [{ type: 'NFC' }, { type: 'BertNormalizer' }] } },
      /^normalizer\.normalizers\[1\] of type BertNormalizer is not supported/,
    ],
    [
      'a pre-tokenizer',
      { pre_tokenizer: { type: 'UnicodeScripts' } },
      /^pre_tokenizer of type UnicodeScripts is not supported/,
    ],
    ['a post-processor', { post_processor: { type: 'Riddle' } }, /^post_processor of type Riddle is not supported/],
    [
      'a decoder',
      { decoder: { type: 'WordPiece' } },
      /^decoder of type WordPiece is not supported; supported: Sequence, ByteLevel/,
    ],
    ['a model', { model: { type: 'WordPiece' } }, /^model of type WordPiece is not supported; supported: BPE, Unigram/],
    ['another model', { model: { type: 'WordLevel' } }, /^model of type WordLevel is not supported/],
    ['a part without a type', { decoder: {} }, /^decoder has no type/],
    ['an unknown field', { normalizer: { type: 'NFC', twist: 1 } }, /^normalizer\.twist is not supported/],
    ['an unknown section', { riddle: {} }, /riddle is not supported/],
    [
      'an expression without an equal',
      { pre_tokenizer: { type: 'Split', pattern: { Regex: '(?x) a' }, behavior: 'Isolated' } },
      /^pre_tokenizer: the expression \(\?x\) a is not supported/,
    ],
    [
      'a behaviour',
      { pre_tokenizer: { type: 'Split', pattern: { String: 'a' }, behavior: 'Shuffled' } },
      /^pre_tokenizer: behavior Shuffled is not supported/,
    ],
    [
      'a damaged charsmap',
      { normalizer: { type: 'Precompiled', precompiled_charsmap: 'AAAA' } },
      /charsmap is damaged/,
    ],
    ['a model without', {}, /^model is missing/],
    ['dropout', { model: { ...MODEL, dropout: 0.1 } }, /^model: dropout would give other tokens every time/],
    ['suffixes', { model: { ...MODEL, end_of_word_suffix: '</w>' } }, /^model: end_of_word_suffix is not supported/],
    [
      'a merge of unknown tokens',
      { model: { ...MODEL, merges: ['a c'] } },
      /^model\.merges\[0\]: "ac" is not in the vocabulary/,
    ],
    ['a merge that is no pair', { model: { ...MODEL, merges: ['a b c'] } }, /^model\.merges\[0\] is no pair/],
    [
      'an unknown token outside',
      { model: { ...MODEL, unk_token: '?' } },
      /^model\.unk_token: "\?" is not in the vocabulary/,
    ],
    ['a piece without a score', { model: { type: 'Unigram', vocab: [['a']] } }, /^model\.vocab\[0\] is no pair/],
    ['an unknown piece outside', { model: { type: 'Unigram', vocab: [['a', 0]], unk_id: 4 } }, /^model\.unk_id is 4/],
    [
      'an id with a gap',
      { model: MODEL, ...added({ id: 7 }) },
      /^added_tokens\[0\]: "<x>" has id 7, but the vocabulary makes it 3/,
    ],
    [
      'an id of another token',
      { model: MODEL, ...added({ content: 'a' }) },
      /"a" has id 3, but the vocabulary makes it 0/,
    ],
    [
      'a stripped end',
      { decoder: { type: 'Strip', content: ' ', start: 0, stop: 1 } },
      /^decoder: stop is not supported/,
    ],
    [
      'a template without the text',
      { post_processor: { type: 'TemplateProcessing', single: [], special_tokens: {} } },
      /^post_processor: single must have the text once/,
    ],
  ])('refuses %s by name', (_, definition, message) => {
    const whole =
      'model' in definition || message.source.includes('model is missing')
        ? definition
        : { model: MODEL, ...definition }
    expect(() => TokenPipeline.read(whole as Record<string, unknown>)).toThrow(message)
  })
})
