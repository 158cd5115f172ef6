import { readFileSync, readdirSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { ChatTemplate } from '../../src/text/chat-template.ts'
import type { TemplateMessage } from '../../src/text/chat-template.ts'
import { Detokenizer } from '../../src/text/detokenizer.ts'
import { Tokenizer } from '../../src/text/tokenizer.ts'

/** Written by Python's `tokenizers` and `transformers` (test/fixtures/generate). */
interface Truth {
  readonly name: string
  readonly prefix: readonly number[]
  readonly encode: readonly {
    readonly text: string
    readonly ids: readonly number[]
    readonly decoded: string
    readonly decoded_skip_special?: string
  }[]
  readonly decode: readonly {
    readonly ids: readonly number[]
    readonly decoded: string
    readonly decoded_skip_special?: string
  }[]
  readonly chat:
    | readonly {
        readonly messages: readonly TemplateMessage[]
        readonly add_generation_prompt: boolean
        readonly text: string
        readonly ids: readonly number[]
      }[]
    | null
}

const fixtures = new URL('../fixtures/', import.meta.url)
const truths = readdirSync(new URL('tokenizer/', fixtures)).map(
  (file) => JSON.parse(readFileSync(new URL(`tokenizer/${file}`, fixtures), 'utf8')) as Truth,
)

function modelDir(name: string): string {
  return name === 'demo'
    ? new URL('../../models/demo/', import.meta.url).pathname
    : new URL(`conformance/${name}/model/`, fixtures).pathname
}

it('has truth for the demo model and every family', () => {
  expect(truths.map(({ name }) => name)).toEqual(expect.arrayContaining(['demo', 'llama', 'qwen2', 'qwen3']))
})

describe.each(truths)('$name against the Python libraries', (truth) => {
  it('encodes every text to the same ids', async () => {
    const tokenizer = await Tokenizer.load(modelDir(truth.name))
    for (const { text, ids } of truth.encode) {
      expect({ text, ids: tokenizer.encode(text, { addSpecialTokens: false }) }).toEqual({ text, ids })
      expect(tokenizer.encode(text)).toEqual([...truth.prefix, ...ids])
    }
  })

  it('decodes to the same text, at once and as a stream', async () => {
    const tokenizer = await Tokenizer.load(modelDir(truth.name))
    for (const { ids, decoded, decoded_skip_special = decoded } of [...truth.encode, ...truth.decode]) {
      for (const [skipSpecialTokens, expected] of [[false, decoded] as const, [true, decoded_skip_special] as const]) {
        const stream = new Detokenizer(tokenizer, { skipSpecialTokens })
        expect({ ids, text: tokenizer.decode(ids, { skipSpecialTokens }) }).toEqual({ ids, text: expected })
        expect({ ids, text: ids.map((id) => stream.push(id)).join('') + stream.flush() }).toEqual({
          ids,
          text: expected,
        })
      }
    }
  })

  it('renders conversations to the same text and ids', async () => {
    const dir = modelDir(truth.name)
    const [tokenizer, template] = [await Tokenizer.load(dir), await ChatTemplate.load(dir)]
    expect(template.available).toBe(truth.chat !== null)
    for (const { messages, add_generation_prompt, text, ids } of truth.chat ?? []) {
      expect(template.render(messages, { addGenerationPrompt: add_generation_prompt })).toBe(text)
      expect(tokenizer.encode(text, { addSpecialTokens: false })).toEqual(ids)
    }
  })
})
