import type { Cursor } from './cursor.ts'

const SINGLE: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', f: '\f', v: '\v', b: '\b', 0: '\0' }
const DIGITS: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 }

/** One character of a quoted text or of a class: as it stands, or an escape. */
export function quotedCharacter(cursor: Cursor): string {
  const character = cursor.character()
  if (character !== '\\') return character
  const escape = cursor.character()
  const digits = DIGITS[escape]
  if (digits === undefined) return SINGLE[escape] ?? escape
  const hex = cursor.text.slice(cursor.at, cursor.at + digits)
  const point = parseInt(hex, 16)
  if (!/^[0-9a-fA-F]+$/.test(hex) || hex.length < digits || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
    throw cursor.wrong(`\`\\${escape}${hex}\` is no character: it takes ${digits} hexadecimal digits`)
  cursor.at += digits
  return String.fromCodePoint(point)
}

/** A text between double quotes; the cursor stands behind the first. */
export function quotedText(cursor: Cursor, quote = '"'): string {
  const began = cursor.at - 1
  let text = ''
  while (!cursor.take(quote)) {
    if (cursor.atEnd || cursor.next === '\n') throw cursor.wrong('the text is not closed', began)
    text += quotedCharacter(cursor)
  }
  return text
}
