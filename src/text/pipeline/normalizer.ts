import { encodeByteLevel } from './byte-level.ts'
import { Charsmap } from './charsmap.ts'
import type { Part } from './part.ts'
import { WHITE_SPACE, patternOf } from './pattern.ts'

/** Text → the text that is split and looked up. */
export type Normalizer = (text: string) => string

const FORMS = ['NFC', 'NFD', 'NFKC', 'NFKD'] as const
const TYPES = [
  ...['Sequence', ...FORMS, 'Lowercase', 'Strip', 'StripAccents', 'Replace', 'Prepend', 'Precompiled', 'Nmt'],
  'ByteLevel',
]

/** Reads a normalizer of `tokenizer.json`. Throws for what is unknown. */
export function readNormalizer(part: Part): Normalizer {
  const normalizer = normalizerOf(part)
  part.close()
  return normalizer
}

function normalizerOf(part: Part): Normalizer {
  const { type } = part
  const form = FORMS.find((name) => name === type)
  if (form) return (text) => text.normalize(form)
  switch (type) {
    case 'Sequence': {
      const steps = part.children('normalizers').map(readNormalizer)
      return (text) => steps.reduce((result, step) => step(result), text)
    }
    case 'Lowercase':
      // Character by character: the end of a word makes no difference to Σ.
      return (text) => Array.from(text, (character) => character.toLowerCase()).join('')
    case 'Strip':
      return strip(part.flag('strip_left'), part.flag('strip_right'))
    case 'StripAccents':
      return (text) => text.replace(/\p{M}/gu, '')
    case 'Replace': {
      const [pattern, content] = [patternOf(part), part.text('content')]
      return (text) => text.replace(pattern, () => content)
    }
    case 'Prepend': {
      const prefix = part.text('prepend')
      return (text) => (text === '' ? '' : prefix + text)
    }
    case 'Precompiled': {
      const charsmap = Charsmap.read(part.text('precompiled_charsmap'))
      return (text) => charsmap.apply(text)
    }
    case 'Nmt':
      return (text) => text.replace(NMT_DROPPED, '').replace(NMT_SPACE, ' ')
    case 'ByteLevel':
      return encodeByteLevel
    default:
      return part.refuseType(TYPES)
  }
}

function strip(left: boolean, right: boolean): Normalizer {
  return (text) => {
    let [start, end] = [0, text.length]
    if (left) while (start < end && WHITE_SPACE.test(text[start]!)) start++
    if (right) while (end > start && WHITE_SPACE.test(text[end - 1]!)) end--
    return text.slice(start, end)
  }
}

// eslint-disable-next-line no-control-regex
const NMT_DROPPED = /[\x01-\x08\x0b\x0e-\x1f\x7f\x8f\x9f]/g
const NMT_SPACE = /[\t\n\f\r\u1680\u200b-\u200f\u2028\u2029\u2581\ufeff\ufffd]/g
