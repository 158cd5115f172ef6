import { encodeByteLevel } from './byte-level.ts'
import type { Part } from './part.ts'
import { patternOf } from './pattern.ts'
import type { Behavior, Piece } from './split.ts'
import { BEHAVIORS, split } from './split.ts'

/** Cuts a piece of text into the words that the model sees. */
export type PreTokenizer = (piece: Piece) => readonly Piece[]

const TYPES = [
  ...['Sequence', 'ByteLevel', 'Metaspace', 'Split', 'Digits', 'Punctuation', 'Whitespace', 'WhitespaceSplit'],
  ...['CharDelimiterSplit', 'BertPreTokenizer'],
]
/** The splitting expression of GPT-2. */
const GPT2_WORDS =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu
const PUNCTUATION = /[\p{P}!-/:-@[-`{-~]/gu
const SPACE = /\p{White_Space}/gu

/** Reads a pre-tokenizer of `tokenizer.json`. Throws for what is unknown. */
export function readPreTokenizer(part: Part): PreTokenizer {
  const preTokenizer = preTokenizerOf(part)
  part.close()
  return preTokenizer
}

function preTokenizerOf(part: Part): PreTokenizer {
  switch (part.type) {
    case 'Sequence': {
      const steps = part.children('pretokenizers').map(readPreTokenizer)
      return (piece) => steps.reduce<readonly Piece[]>((pieces, step) => pieces.flatMap(step), [piece])
    }
    case 'ByteLevel':
      return byteLevel(part)
    case 'Metaspace':
      return metaspace(part)
    case 'Split': {
      const pattern = patternOf(part)
      const [behavior, invert] = [behaviorOf(part), part.flag('invert', false)]
      return (piece) => split(piece, pattern, behavior, invert)
    }
    case 'Digits': {
      const behavior = part.flag('individual_digits', false) ? 'Isolated' : 'Contiguous'
      return (piece) => split(piece, /\p{N}/gu, behavior)
    }
    case 'Punctuation': {
      const behavior = behaviorOf(part, 'Isolated')
      return (piece) => split(piece, PUNCTUATION, behavior)
    }
    case 'Whitespace':
      return (piece) => split(piece, WORDS_AND_SIGNS, 'Removed', true)
    case 'WhitespaceSplit':
      return (piece) => split(piece, SPACE, 'Removed')
    case 'CharDelimiterSplit': {
      const delimiter = part.text('delimiter')
      const pattern = new RegExp(
        `\\u{${delimiter.codePointAt(0)?.toString(16) ?? part.refuse('delimiter is empty')}}`,
        'gu',
      )
      return (piece) => split(piece, pattern, 'Removed')
    }
    case 'BertPreTokenizer':
      return (piece) => split(piece, SPACE, 'Removed').flatMap((word) => split(word, PUNCTUATION, 'Isolated'))
    default:
      return part.refuseType(TYPES)
  }
}

const WORDS_AND_SIGNS =
  /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]+|[^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}\p{White_Space}]+/gu

function byteLevel(part: Part): PreTokenizer {
  const [prefix, words] = [part.flag('add_prefix_space', true), part.flag('use_regex', true)]
  part.ignore('trim_offsets')
  return (piece) => {
    const begun = prefix && !piece.text.startsWith(' ') ? { ...piece, text: ` ${piece.text}` } : piece
    const pieces = words ? split(begun, GPT2_WORDS, 'Isolated') : [begun]
    return pieces.map(({ text, first }) => ({ text: encodeByteLevel(text), first }))
  }
}

function metaspace(part: Part): PreTokenizer {
  const replacement = part.text('replacement', '▁')
  const spaced = part.flag('add_prefix_space', true)
  const scheme = part.text('prepend_scheme', spaced ? 'always' : 'never')
  if (!['always', 'first', 'never'].includes(scheme)) part.refuse(`prepend_scheme ${scheme} is not supported`)
  const cut = part.flag('split', true)
  part.ignore('str_rep')
  const boundary = new RegExp(
    `\\u{${replacement.codePointAt(0)?.toString(16) ?? part.refuse('replacement is empty')}}`,
    'gu',
  )
  return (piece) => {
    const text = piece.text.replaceAll(' ', () => replacement)
    const begins = !text.startsWith(replacement) && (scheme === 'always' || (scheme === 'first' && piece.first))
    const spacedPiece = { ...piece, text: begins ? replacement + text : text }
    return cut ? split(spacedPiece, boundary, 'MergedWithNext') : [spacedPiece]
  }
}

function behaviorOf(part: Part, fallback?: Behavior): Behavior {
  const name = part.text('behavior', fallback)
  return BEHAVIORS.find((behavior) => behavior === name) ?? part.refuse(`behavior ${name} is not supported`)
}
