import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { Detokenizer } from '../../src/text/detokenizer.ts'
import { Tokenizer } from '../../src/text/tokenizer.ts'

/** Written by Python's `tokenizers` (test/fixtures/generate/stage7_tokenizers.py). */
interface Truth {
  readonly before: readonly number[]
  readonly after: readonly number[]
  readonly ids: readonly (readonly number[])[]
  /** By index of the string, where it is not the string. */
  readonly decoded: Readonly<Record<number, string>>
  /** Without special tokens, where it is not `decoded`. */
  readonly skipped: Readonly<Record<number, string>>
  readonly cuts: readonly { readonly ids: readonly number[]; readonly decoded: string }[]
}

const FIXTURES = join(import.meta.dirname, '../fixtures')
const KINDS = join(FIXTURES, 'tokenizer-kinds')
const strings = readZipped<readonly string[]>('strings')
const names = readdirSync(KINDS)
  .filter((file) => file.endsWith('.json.gz') && !file.startsWith('strings'))
  .map((file) => file.replace('.json.gz', ''))

function readZipped<T>(name: string): T {
  return JSON.parse(gunzipSync(readFileSync(join(KINDS, `${name}.json.gz`))).toString('utf8')) as T
}

function folderOf(name: string): string {
  if (name === 'demo') return join(FIXTURES, '../../models/demo')
  const own = join(KINDS, name)
  return existsSync(own) ? own : join(FIXTURES, 'conformance', name, 'model')
}

function stream(tokenizer: Tokenizer, ids: readonly number[], skipSpecialTokens: boolean): string {
  const detokenizer = new Detokenizer(tokenizer, { skipSpecialTokens })
  return ids.map((id) => detokenizer.push(id)).join('') + detokenizer.flush()
}

it('has at least 2,000 strings, and every kind of tokenizer', () => {
  expect(new Set(strings).size).toBeGreaterThanOrEqual(2000)
  expect(names).toEqual(
    expect.arrayContaining(['llama', 'mistral', 'phi3', 'gemma3', 'gemma2', 'unigram-charsmap', 'bpe-unknown']),
  )
})

describe.each(names)('%s against Python’s tokenizers', (name) => {
  const truth = readZipped<Truth>(name)
  const decodedOf = (i: number): string => truth.decoded[i] ?? strings[i]!

  it('encodes every string to the same ids', async () => {
    const tokenizer = await Tokenizer.load(folderOf(name))
    for (const [i, ids] of truth.ids.entries()) {
      const text = strings[i]!
      const found = tokenizer.encode(text, { addSpecialTokens: false })
      if (found.join() !== ids.join()) expect({ text, ids: found }).toEqual({ text, ids })
    }
    expect(tokenizer.encode('')).toEqual([...truth.before, ...truth.after])
    expect(tokenizer.encode(strings[300]!)).toEqual([...truth.before, ...truth.ids[300]!, ...truth.after])
  })

  it('decodes them to the same text, at once and token by token, with special tokens and without', async () => {
    const tokenizer = await Tokenizer.load(folderOf(name))
    for (const [i, ids] of truth.ids.entries()) {
      const decoded = decodedOf(i)
      const expected = { with: decoded, without: truth.skipped[i] ?? decoded }
      const all = { skipSpecialTokens: false }
      const found = { with: tokenizer.decode(ids, all), without: tokenizer.decode(ids) }
      const streamed = { with: stream(tokenizer, ids, false), without: stream(tokenizer, ids, true) }
      if (JSON.stringify([found, streamed]) !== JSON.stringify([expected, expected]))
        expect({ ids, found, streamed }).toEqual({ ids, found: expected, streamed: expected })
    }
  })

  it('decodes cut sequences to the same text', async () => {
    const tokenizer = await Tokenizer.load(folderOf(name))
    for (const { ids, decoded } of truth.cuts) {
      expect({ ids, text: tokenizer.decode(ids, { skipSpecialTokens: false }) }).toEqual({ ids, text: decoded })
      // With byte fallback, a stream keeps the complete characters of a run of bytes that is cut.
      if (tokenizer.byteStyle !== 'byte-fallback' || !decoded.includes('\uFFFD'))
        expect({ ids, text: stream(tokenizer, ids, false) }).toEqual({ ids, text: decoded })
    }
  })
})
