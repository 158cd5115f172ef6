import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import type { BaseTokens } from '../../src/adapters/own-tokens.ts'
import { TOKENIZER_FOLDER, TOKENS_FILE, ownTokens, settleTokens } from '../../src/adapters/own-tokens.ts'
import { temporaryFolder } from '../support/model-folder.ts'
import { expectRefusalAsync } from '../support/refusal.ts'

const NAMES = ['a', 'b', '<|end|>', '<|spare|>']
const BASE: BaseTokens = {
  eosIds: [2],
  idOf: (content) => (NAMES.includes(content) ? NAMES.indexOf(content) : null),
  contentOf: (id) => NAMES[id] ?? null,
}
const PLAIN = { special: false, singleWord: false, lstrip: false, rstrip: false, normalized: true }
let dir: string

beforeEach(async () => {
  dir = await temporaryFolder()
  mkdirSync(join(dir, TOKENIZER_FOLDER))
})

function put(name: string, content: object | string): void {
  const text = typeof content === 'string' ? content : JSON.stringify(content)
  writeFileSync(join(dir, TOKENIZER_FOLDER, name), text)
}

async function settled(): Promise<unknown> {
  await settleTokens(dir, () => Promise.resolve(BASE))
  expect(existsSync(join(dir, TOKENIZER_FOLDER))).toBe(false)
  const path = join(dir, TOKENS_FILE)
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : null
}

describe('what a tokenizer beside an adapter adds', () => {
  it('is what the base model has not, whichever file says so', async () => {
    put('tokenizer.json', {
      added_tokens: [
        { id: 2, content: '<|end|>', special: true },
        { id: 4, content: '<x>' },
      ],
    })
    put('tokenizer_config.json', { added_tokens_decoder: { 5: { content: '<y>', special: true, lstrip: true } } })
    put('added_tokens.json', { '<z>': 6, '<x>': 4 })
    expect(await settled()).toEqual({
      added: [
        { id: 4, content: '<x>', ...PLAIN },
        { id: 5, content: '<y>', ...PLAIN, special: true, lstrip: true, normalized: false },
        { id: 6, content: '<z>', ...PLAIN },
      ],
      ends: [],
    })
  })

  it('is nothing where it is the base model’s, and another name for a spare token', async () => {
    put('tokenizer.json', { added_tokens: [{ id: 2, content: '<|end|>' }] })
    put('tokenizer_config.json', { eos_token: '<|end|>' })
    expect(await settled()).toBeNull()
    mkdirSync(join(dir, TOKENIZER_FOLDER))
    put('tokenizer.json', { added_tokens: [{ id: 3, content: '<tool>' }] })
    expect(await settled()).toEqual({ added: [{ id: 3, content: '<tool>', ...PLAIN }], ends: [] })
  })

  it('has what ends an answer, of the base model’s tokens too', async () => {
    put('tokenizer_config.json', { eos_token: { content: 'b' } })
    expect(await settled()).toEqual({ added: [], ends: [1] })
  })

  it('is refused where it is no JSON, or another tokenizer', async () => {
    put('tokenizer.json', 'nonsense')
    await expectRefusalAsync(settled, 'invalid_adapter', 'tokenizer.json is not valid JSON')
    put('tokenizer.json', { added_tokens: Array.from({ length: 1001 }, (_, i) => ({ id: 10 + i, content: `<${i}>` })) })
    await expectRefusalAsync(settled, 'unsupported_adapter', '1001 tokens')
  })
})

describe('the tokens that act', () => {
  const token = (id: number) => ({ id, content: `<${id}>`, ...PLAIN })

  it('have a row in the base model or in the adapter', () => {
    const found = { added: [token(3), token(4), token(5)], ends: [4, 5] }
    const rows = { ids: Int32Array.of(1, 4) }
    const { tokens, warnings } = ownTokens(found, 4, rows)
    expect(tokens).toEqual({ rows: 1, added: [token(3), token(4)], ends: [4] })
    expect(warnings).toEqual([expect.stringContaining('"<5>" (5)') as string])
  })

  it('are none where nothing is added', () => {
    expect(ownTokens(null, 4, null)).toEqual({ tokens: null, warnings: [] })
    expect(ownTokens(null, 4, { ids: Int32Array.of(3) }).tokens).toBeNull()
    expect(ownTokens(null, 4, { ids: Int32Array.of(4, 5) }).tokens).toEqual({ rows: 2, added: [], ends: [] })
  })
})
