import { byteLevelBytes, fallbackByte } from './byte-level.ts'
import type { Part } from './part.ts'
import { patternOf } from './pattern.ts'

/** One step from tokens to text; the results of the last one are joined. */
export type DecoderStep = (tokens: readonly string[]) => readonly string[]

/** How the vocabulary writes bytes: every token is bytes, or single bytes stand in for what is missing (SentencePiece). */
export type ByteStyle = 'byte-level' | 'byte-fallback' | 'none'

export interface Decoder {
  readonly steps: readonly DecoderStep[]
  readonly byteStyle: ByteStyle
}

const TYPES = ['Sequence', 'ByteLevel', 'ByteFallback', 'Metaspace', 'Replace', 'Fuse', 'Strip']

/** Without a decoder, tokens are words. */
export const NO_DECODER: Decoder = { steps: [(tokens) => [tokens.join(' ')]], byteStyle: 'none' }

/** Reads a decoder of `tokenizer.json`. Throws for what is unknown. */
export function readDecoder(part: Part): Decoder {
  const decoder = decoderOf(part)
  part.close()
  return decoder
}

function decoderOf(part: Part): Decoder {
  switch (part.type) {
    case 'Sequence': {
      const decoders = part.children('decoders').map(readDecoder)
      const styles = decoders.map(({ byteStyle }) => byteStyle).filter((style) => style !== 'none')
      if (styles.includes('byte-level') && decoders.length > 1)
        part.refuse('ByteLevel together with other decoders is not supported')
      return { steps: decoders.flatMap(({ steps }) => steps), byteStyle: styles[0] ?? 'none' }
    }
    case 'ByteLevel':
      part.ignore('add_prefix_space', 'trim_offsets', 'use_regex')
      return { steps: [joinByteLevel], byteStyle: 'byte-level' }
    case 'ByteFallback':
      return { steps: [joinFallbackBytes], byteStyle: 'byte-fallback' }
    case 'Metaspace':
      return plain(metaspace(part))
    case 'Replace': {
      const [pattern, content] = [patternOf(part), part.text('content')]
      return plain((tokens) => tokens.map((token) => token.replace(pattern, () => content)))
    }
    case 'Fuse':
      return plain((tokens) => [tokens.join('')])
    case 'Strip':
      return plain(strip(part))
    default:
      return part.refuseType(TYPES)
  }
}

function plain(step: DecoderStep): Decoder {
  return { steps: [step], byteStyle: 'none' }
}

const joinByteLevel: DecoderStep = (tokens) => [Buffer.concat(tokens.map(byteLevelBytes)).toString('utf8')]

/** Runs of byte tokens become characters; a run that is no UTF-8 becomes one U+FFFD per byte. */
const joinFallbackBytes: DecoderStep = (tokens) => {
  const out: string[] = []
  let run: number[] = []
  const end = (): void => {
    if (run.length > 0) out.push(strictUtf8(run))
    run = []
  }
  for (const token of tokens) {
    const byte = fallbackByte(token)
    if (byte !== null) run.push(byte)
    else {
      end()
      out.push(token)
    }
  }
  end()
  return out
}

function strictUtf8(bytes: readonly number[]): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(bytes))
  } catch (error) {
    if (error instanceof TypeError) return '\uFFFD'.repeat(bytes.length)
    throw error
  }
}

/** Replacement characters become spaces; those of the first token are left out, unless the pre-tokenizer adds none. */
function metaspace(part: Part): DecoderStep {
  const replacement = part.text('replacement', '▁')
  const added = part.text('prepend_scheme', part.flag('add_prefix_space', true) ? 'always' : 'never') !== 'never'
  part.ignore('split', 'str_rep')
  return (tokens) => tokens.map((token, i) => token.replaceAll(replacement, i === 0 && added ? '' : ' '))
}

/** Takes up to `start` of a character off the front of every token. */
function strip(part: Part): DecoderStep {
  const [content, start, stop] = [part.text('content'), part.count('start'), part.count('stop')]
  if (stop > 0) part.refuse('stop is not supported: an answer is sent before its end is known')
  return (tokens) =>
    tokens.map((token) => {
      let cut = 0
      while (cut < start && token[cut] === content) cut++
      return token.slice(cut)
    })
}
