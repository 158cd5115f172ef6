import type { PointRange } from '../json/character-reader.ts'
import { invalid } from '../limits.ts'
import type { PartsBuilder } from '../rules/builder.ts'
import { Cursor } from './cursor.ts'
import { WrittenRules } from './rules.ts'

const SINGLE: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', f: '\f', v: '\v', b: '\b', 0: '\0' }
const DIGITS: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 }
const SPACE = /(?:\s|#[^\n]*)*/y
const NAME = /[a-zA-Z_][\w.-]*/y
const RULE_HEAD = /([a-zA-Z_][\w.-]*)\s*::=/y
const COUNT = /\{\s*(\d+)\s*(,?)\s*(\d*)\s*\}/y
const GBNF = /^\s*root\s*::=/m
const LARK = /^\s*[?!]?start\s*:(?!:)/m
const ANY: readonly PointRange[] = [
  [0, 0xd7ff],
  [0xe000, 0x10ffff],
]

/**
 * Reads a grammar as llama.cpp writes it; an answer begins with `root`. Format: https://github.com/ggml-org/llama.cpp/tree/master/grammars
 *
 * @throws TroupeError `invalid_request` with line and column
 */
export function gbnfPart(build: PartsBuilder, text: string): number {
  if (LARK.test(text) && !GBNF.test(text))
    throw invalid('grammar', 'Lark is not supported: send GBNF, such as `root ::= "yes" | "no"`')
  const cursor = new Cursor(text)
  const rules = new WrittenRules(cursor, build)
  for (skip(cursor); !cursor.atEnd; skip(cursor)) {
    const at = cursor.at
    const head = cursor.match(RULE_HEAD)
    if (!head) throw cursor.wrong('a rule is due: `name ::= …`')
    rules.define(head[1]!, at, () => alternatives(cursor, rules))
  }
  return rules.finish('root', 'name it `root ::= …`')
}

function skip(cursor: Cursor): void {
  cursor.match(SPACE)
}

function alternatives(cursor: Cursor, rules: WrittenRules): number {
  const found = [sequence(cursor, rules)]
  while (cursor.take('|')) found.push(sequence(cursor, rules))
  return rules.build.either(found)
}

function sequence(cursor: Cursor, rules: WrittenRules): number {
  const parts: number[] = []
  for (skip(cursor); !cursor.atEnd && cursor.next !== '|' && cursor.next !== ')'; skip(cursor)) {
    if (startsRule(cursor)) break
    parts.push(repetition(item(cursor, rules), cursor, rules))
  }
  return rules.build.sequence(parts)
}

/** Rules end where the next one begins: line breaks mean nothing. */
function startsRule(cursor: Cursor): boolean {
  const { at } = cursor
  const head = cursor.match(RULE_HEAD)
  cursor.at = at
  return head !== null
}

function item(cursor: Cursor, rules: WrittenRules): number {
  const { at } = cursor
  if (cursor.take('"')) return rules.build.literal(quotedText(cursor))
  if (cursor.take('[')) return rules.build.character(characterClass(cursor))
  if (cursor.take('.')) return rules.build.character(ANY)
  if (cursor.take('(')) {
    const part = rules.nested(() => alternatives(cursor, rules))
    cursor.expect(')')
    return part
  }
  const name = cursor.match(NAME)
  if (name) return rules.named(name[0], at)
  if (cursor.next === '<' || cursor.next === '!')
    throw cursor.wrong('tokens by name or number are not supported: write their text between quotes')
  throw cursor.wrong('a text, a class of characters, a name or a bracket is due')
}

function repetition(part: number, cursor: Cursor, rules: WrittenRules): number {
  for (let found = part; ;) {
    if (cursor.take('*')) found = rules.repeated(found, 0, Infinity)
    else if (cursor.take('+')) found = rules.repeated(found, 1, Infinity)
    else if (cursor.take('?')) found = rules.repeated(found, 0, 1)
    else {
      const count = cursor.match(COUNT)
      if (!count) return found
      const min = Number(count[1])
      found = rules.repeated(found, min, count[2] === '' ? min : count[3] === '' ? Infinity : Number(count[3]))
    }
  }
}

function characterClass(cursor: Cursor): readonly PointRange[] {
  const began = cursor.at - 1
  const negated = cursor.take('^')
  const ranges: PointRange[] = []
  while (!cursor.take(']')) {
    if (cursor.atEnd) throw cursor.wrong('the class of characters is not closed', began)
    const first = quotedCharacter(cursor).codePointAt(0)!
    const isRange = cursor.next === '-' && cursor.text[cursor.at + 1] !== ']'
    if (isRange) cursor.at++
    const last = isRange ? quotedCharacter(cursor).codePointAt(0)! : first
    if (last < first) throw cursor.wrong('the range of characters is upside down', began)
    ranges.push([first, last])
  }
  return negated ? without(ranges) : ranges
}

/** All characters but those of the ranges. */
function without(ranges: readonly PointRange[]): readonly PointRange[] {
  const out: PointRange[] = []
  let next = 0
  for (const [first, last] of [...ranges].sort(([a], [b]) => a - b)) {
    if (first > next) out.push([next, first - 1])
    next = Math.max(next, last + 1)
  }
  return next > 0x10ffff ? out : [...out, [next, 0x10ffff]]
}

/** One character of a quoted text or of a class: as it stands, or an escape. */
function quotedCharacter(cursor: Cursor): string {
  const character = cursor.character()
  if (character !== '\\') return character
  const escape = cursor.character()
  const digits = DIGITS[escape]
  if (digits === undefined) return SINGLE[escape] ?? escape
  const hex = cursor.text.slice(cursor.at, cursor.at + digits)
  const point = parseInt(hex, 16)
  if (!/^[0-9a-fA-F]+$/.test(hex) || hex.length < digits || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
    throw cursor.wrong(`\`\\${escape}${hex}\` is not a character: it takes ${digits} hexadecimal digits`)
  cursor.at += digits
  return String.fromCodePoint(point)
}

/** A text between double quotes; the cursor stands behind the first. */
function quotedText(cursor: Cursor, quote = '"'): string {
  const began = cursor.at - 1
  let text = ''
  while (!cursor.take(quote)) {
    if (cursor.atEnd || cursor.next === '\n') throw cursor.wrong('the text is not closed', began)
    text += quotedCharacter(cursor)
  }
  return text
}
