import { describe, expect, it } from 'vitest'
import { ChatTemplate } from '../../src/text/chat-template.ts'
import { formatTime } from '../../src/text/format-time.ts'
import { temporaryFolder } from '../support/model-folder.ts'

const HELLO = [{ role: 'user', content: 'Hello' }]

async function template(chat_template: unknown, config: object = {}): Promise<ChatTemplate> {
  return ChatTemplate.load(await temporaryFolder({ 'tokenizer_config.json': { chat_template, ...config } }))
}

describe('ChatTemplate', () => {
  it('gives templates the special tokens, plain or as objects', async () => {
    const chat = await template('{{ bos_token }}{{ messages[0].content }}{{ eos_token }}{{ pad_token }}', {
      bos_token: '<s>',
      eos_token: { content: '</s>' },
      pad_token: null,
    })
    expect(chat.render(HELLO)).toBe('<s>Hello</s>')
  })

  it('knows which variables it reads, whatever they are called', async () => {
    const chat = await template('{{ mood }}{{ messages[0].tone }}')
    const names = ['mood', 'tone', 'moo', '[', '(a+)+$', 'mood}}', '']
    expect(names.filter((name) => chat.reads(name))).toEqual(['mood'])
  })

  it('chooses among named templates', async () => {
    const chat = await template([
      { name: 'tool_use', template: '{{ tools[0].name }}' },
      { name: 'default', template: 'default{{ tools }}' },
    ])
    expect(chat.render(HELLO)).toBe('default')
    expect(chat.render(HELLO, { tools: [{ name: 'clock' }] })).toBe('clock')
  })

  it('prefers chat_template.jinja and falls back to chat_template.json', async () => {
    const config = { 'tokenizer_config.json': { chat_template: 'config' }, 'chat_template.jinja': 'jinja' }
    expect((await ChatTemplate.load(await temporaryFolder(config))).render(HELLO)).toBe('jinja')
    const json = { 'tokenizer_config.json': {}, 'chat_template.json': { chat_template: 'json' } }
    expect((await ChatTemplate.load(await temporaryFolder(json))).render(HELLO)).toBe('json')
  })

  it.each([
    ['no template', undefined, /no chat template: send a `prompt`/],
    ['a template that cannot be parsed', '{% if %}', /cannot be parsed/],
    ['a template that refuses', '{{ raise_exception("roles must alternate") }}', /roles must alternate/],
    [
      'an endless template',
      '{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}',
      /takes longer/,
    ],
    ['a list out of bounds', '{{ range(1000000000) }}', /range/],
    [
      'a text that explodes',
      '{% set ns = namespace(s="0123456789") %}{% for i in range(40) %}{% set ns.s = ns.s + ns.s %}{% endfor %}{{ ns.s }}',
      /longer than/,
    ],
  ])('answers invalid_request for %s', async (_, source, message) => {
    const chat = await template(source)
    expect(() => chat.render(HELLO)).toThrow(
      expect.objectContaining({ code: 'invalid_request', message: expect.stringMatching(message) as string }),
    )
  })

  it('has the functions templates call', async () => {
    const chat = await template(
      '{% for i in range(2, 8, 3) %}{{ i }},{% endfor %}{{ range(3, 0, -1) | join("") }} {{ strftime_now("%Y") }}',
    )
    expect(chat.render(HELLO)).toBe(`2,5,321 ${new Date().getFullYear()}`)
    expect(formatTime(new Date(2026, 0, 5, 15, 4, 9), '%d %b %Y, %A %I:%M %p %%%Q')).toBe(
      '05 Jan 2026, Monday 03:04 PM %%Q',
    )
  })
})
