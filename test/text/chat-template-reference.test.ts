import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { JsonObject } from '../../src/core/json.ts'
import type { TemplateMessage } from '../../src/text/chat-template.ts'
import { ChatTemplate } from '../../src/text/chat-template.ts'
import { temporaryFolder } from '../support/model-folder.ts'

/** Written by transformers (test/fixtures/generate/stage8_templates.py). */
interface Case {
  readonly template: string
  readonly messages: readonly TemplateMessage[]
  readonly tools: readonly JsonObject[] | null
  readonly add_generation_prompt: boolean
  readonly text?: string
  readonly refused?: string
}

const FOLDER = join(import.meta.dirname, '../fixtures/chat-templates')
const { cases } = JSON.parse(readFileSync(join(FOLDER, 'expected.json'), 'utf8')) as { readonly cases: readonly Case[] }
const names = readdirSync(FOLDER).filter((file) => file.endsWith('.jinja'))

describe.each(names)('%s against transformers', (file) => {
  const own = cases.filter(({ template }) => `${template}.jinja` === file)

  it('renders every conversation to the same text, or refuses it for the same reason', async () => {
    const source = readFileSync(join(FOLDER, file), 'utf8')
    const config = { bos_token: '<s>', eos_token: '</s>' }
    const chat = await ChatTemplate.load(
      await temporaryFolder({ 'tokenizer_config.json': config, 'chat_template.jinja': source }),
    )
    expect(own.length).toBeGreaterThanOrEqual(32)
    for (const { messages, tools, add_generation_prompt: addGenerationPrompt, text, refused } of own) {
      const render = () => chat.render(messages, { addGenerationPrompt, ...(tools ? { tools } : {}) })
      if (tools && !source.includes('tools')) expect(render).toThrow('has no place for tools')
      else if (text === undefined) expect(render).toThrow(refused)
      else expect({ messages, text: render() }).toEqual({ messages, text })
    }
  })
})

it.each([
  ['hermes', '<tool_call>'],
  ['llama3', '<|python_tag|>'],
  ['mistral', '[TOOL_CALLS]'],
  ['gemma', undefined],
  ['features', undefined],
])('finds the form of calls in %s: %s', async (name, marker) => {
  const source = readFileSync(join(FOLDER, `${name}.jinja`), 'utf8')
  const files = { 'tokenizer_config.json': { chat_template: [{ name: 'tool_use', template: source }] } }
  const chat = await ChatTemplate.load(await temporaryFolder(files))
  expect(chat.toolFormat?.open[0]).toBe(marker)
})
