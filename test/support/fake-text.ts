import { TroupeError } from '../../src/core/errors.ts'
import { InertTexts } from '../../src/text/inert.ts'
import { StopStrings } from '../../src/text/stop-strings.ts'
import { toolFormatOf } from '../../src/text/tool-calls/tool-format.ts'
import { ToolScanner } from '../../src/text/tool-calls/tool-scanner.ts'
import type { ChatMessage, TextPort, TokenText } from '../../src/generation/ports.ts'

/** Tokens 0–255 are the bytes of UTF-8. */
export const BOS = 256
export const EOS = 257
export const VOCAB = 258

const MAX_TEXT = 10_000
const INERT = new InertTexts(['<s>', '</s>'])
const FORMAT = toolFormatOf('<tool_call>')!

export function bytesOf(text: string): number[] {
  return [...Buffer.from(text, 'utf8')]
}

export function textOf(tokens: Iterable<number>): string {
  return Buffer.from([...tokens].filter((token) => token < 256)).toString('utf8')
}

/** The bytes of its tokens; the last two are none. */
export const fakeTokens = {
  text: Uint8Array.from({ length: 256 }, (_, byte) => byte),
  starts: Int32Array.from({ length: VOCAB + 1 }, (_, id) => Math.min(id, 256)),
  size: VOCAB,
}

class ByteText implements TokenText {
  readonly #decoder = new TextDecoder()

  push(token: number): string {
    return token < 256 ? this.#decoder.decode(Uint8Array.of(token), { stream: true }) : ''
  }

  flush(): string {
    return this.#decoder.decode()
  }
}

/** A tokenizer of bytes, with a chat template of one line per message. */
export const fakeText: TextPort = {
  of: () => fakeText,
  eosIds: [EOS],
  specialIds: [BOS, EOS],
  // The stand-in has one special token that can be written: it becomes EOS.
  inert: (value) => INERT.of(value),
  templateReads: (variable) => variable === 'enable_thinking' || variable === 'reasoning_effort',
  encode: (whole, addSpecialTokens, mark = null) => {
    const parts = whole.split('</s>').map((part) => (mark === null ? part : part.replaceAll(mark, '')))
    const text = parts.join('')
    if (text.length > MAX_TEXT)
      throw new TroupeError('context_length_exceeded', `the prompt has ${text.length} characters`)
    const ids = parts.flatMap((part, i) => (i === 0 ? bytesOf(part) : [EOS, ...bytesOf(part)]))
    return addSpecialTokens ? [BOS, ...ids] : ids
  },
  decode: (tokens) => textOf(tokens),
  tokenText: (token) => (token === BOS ? '<s>' : token === EOS ? '</s>' : textOf([token])),
  tokenBytes: (token) => (token < 256 ? Uint8Array.of(token) : new Uint8Array(0)),
  detokenizer: () => new ByteText(),
  stopStrings: (stops) => new StopStrings(stops),
  renderChat: (messages: readonly ChatMessage[], { tools = [], variables = {}, addGenerationPrompt = true } = {}) =>
    [
      ...Object.entries(variables).map(([name, value]) => `${name}=${JSON.stringify(value)}\n`),
      ...tools.map((tool) => `tool ${JSON.stringify(tool)}\n`),
      ...messages.map(
        ({ role, content, tool_calls: calls }) => `${role}: ${content}${calls ? JSON.stringify(calls) : ''}\n`,
      ),
      addGenerationPrompt ? 'assistant: ' : '',
    ].join(''),
  toolMarkers: [],
  callSyntax: FORMAT.syntax,
  toolScanner: (names, begun) => new ToolScanner(FORMAT, names, begun),
}
