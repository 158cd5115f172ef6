import { SplitPreTokenizer } from '@huggingface/tokenizers'
import { messageOf } from '../../core/errors.ts'
import type { Part } from './part.ts'

/** `\s` and `char::is_whitespace` of Rust; JavaScript's own `\s` has U+FEFF and lacks U+0085. */
export const WHITE_SPACE = /\p{White_Space}/u
/** A character of a word as Rust's `regex` has it. */
export const WORD = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]/u

/**
 * The `pattern` of a part, global: a text to be found as it is, or an expression in the dialect of Oniguruma.
 * Throws for an expression that has no equal here.
 */
export function patternOf(part: Part): RegExp {
  const pattern = part.object('pattern')
  const [kind, ...more] = Object.keys(pattern)
  const source = kind === undefined ? undefined : pattern[kind]
  if (typeof source !== 'string' || more.length > 0) part.refuse('pattern must have one of String and Regex, a text')
  if (kind === 'String') return literal(source)
  if (kind !== 'Regex') part.refuse(`pattern of kind ${String(kind)} is not supported; supported: String, Regex`)
  try {
    const expression = new SplitPreTokenizer({ type: 'Split', pattern: { Regex: source }, invert: false }).pattern
    if (expression !== null) return expression
  } catch (error) {
    part.refuse(`the expression ${source} is not supported: ${messageOf(error)}`)
  }
  return part.refuse(`the expression ${source} is not supported`)
}

function literal(text: string): RegExp {
  return new RegExp(text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&'), 'gu')
}
