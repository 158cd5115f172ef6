import { copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { Tokenizer, maxTextLength } from '../../src/text/tokenizer.ts'
import { ModelText } from '../../src/text/model-text.ts'
import { sentencePieceFiles, temporaryFolder } from '../support/model-folder.ts'

const llama = new URL('../fixtures/conformance/llama/model/', import.meta.url).pathname

describe('Tokenizer', () => {
  it('knows the special tokens of the model', async () => {
    const tokenizer = await Tokenizer.load(llama)
    expect(tokenizer.vocabSize).toBe(448)
    expect(tokenizer.bosId).toBe(443)
    expect(tokenizer.eosIds).toEqual([444, 447])
    expect([...tokenizer.specialIds]).toEqual([443, 444, 445, 446, 447])
  })

  it('takes the ending token from tokenizer_config.json, then config.json, where generation_config.json has none', async () => {
    const files = sentencePieceFiles()
    expect((await Tokenizer.load(await temporaryFolder(files))).eosIds).toEqual([2])
    const bare = { ...files, 'tokenizer_config.json': {}, 'config.json': { eos_token_id: 7 } }
    expect((await Tokenizer.load(await temporaryFolder(bare))).eosIds).toEqual([7])
  })

  it('shows single tokens as text and as bytes', async () => {
    const tokenizer = await Tokenizer.load(llama)
    const [first, second] = tokenizer.encode('é', { addSpecialTokens: false }) as [number, number]
    expect([...tokenizer.tokenBytes(first), ...tokenizer.tokenBytes(second)]).toEqual([0xc3, 0xa9])
    expect(tokenizer.tokenText(first)).toBe('\uFFFD')
    expect(tokenizer.tokenText(447)).toBe('<|eot_id|>')
    expect(tokenizer.tokenText(272)).toBe(' a')
    expect(new TextDecoder().decode(tokenizer.tokenBytes(272))).toBe(' a')
  })

  it('reads SentencePiece-like vocabularies with byte fallback', async () => {
    const tokenizer = await Tokenizer.load(await temporaryFolder(sentencePieceFiles()))
    const ids = tokenizer.encode('ab bc ü')
    expect(tokenizer.decode(ids)).toBe('ab bc ü')
    expect(tokenizer.tokenText(ids[0]!)).toBe(' ab')
    expect([...tokenizer.tokenBytes(ids.at(-1)!)]).toEqual([0xbc])
  })

  it('ignores ids outside the vocabulary: logits may be wider', async () => {
    const tokenizer = await Tokenizer.load(llama)
    expect(tokenizer.decode([272, 100_000, 272])).toBe(' a a')
    expect(tokenizer.tokenText(100_000)).toBe('')
    expect(tokenizer.decode([])).toBe('')
  })

  it.each([
    ['tokenizer.json', '{"model": ', /tokenizer\.json.*not valid JSON/],
    ['tokenizer.json', '{"model": {"type": "Riddle"}}', /tokenizer\.json.*cannot be used/],
    ['tokenizer.json', null, /tokenizer\.json is missing/],
    ['tokenizer_config.json', null, /tokenizer_config\.json is missing/],
    ['generation_config.json', '{"eos_token_id": "two"}', /eos_token_id in generation_config\.json/],
  ])('refuses a folder with a bad %s: %s', async (file, content, message) => {
    const dir = await temporaryFolder(content === null ? {} : { [file]: content })
    for (const name of ['tokenizer.json', 'tokenizer_config.json'])
      if (name !== file) await copyFile(join(llama, name), join(dir, name))
    await expect(Tokenizer.load(dir)).rejects.toMatchObject({
      code: 'invalid_model',
      message: expect.stringMatching(message) as string,
    })
  })
})

describe('ModelText', () => {
  it('refuses a text that cannot fit before encoding it', async () => {
    const text = await ModelText.load(llama, 64)
    expect(text.encode('a'.repeat(maxTextLength(64)), true)).toHaveLength(1 + maxTextLength(64))
    expect(() => text.encode('a'.repeat(maxTextLength(64) + 1), true)).toThrow(
      expect.objectContaining({ code: 'context_length_exceeded' }),
    )
  })
})
