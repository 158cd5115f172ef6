import type { CodePoints } from './code-points.ts'
import { complement, DIGITS, EVERY, LINE_ENDS, SPACES, unicodeProperty, union, WORD } from './code-points.ts'

/** A regular expression as a tree. */
export type Regex =
  | { readonly type: 'set'; readonly set: CodePoints }
  | { readonly type: 'all'; readonly parts: readonly Regex[] }
  | { readonly type: 'any'; readonly parts: readonly Regex[] }
  | { readonly type: 'repeat'; readonly part: Regex; readonly min: number; readonly max: number }
  | { readonly type: 'assert'; readonly at: 'start' | 'end' | 'word' | 'inside' }
  /** Only at the start of an expression: what follows must (not) match this as well. */
  | { readonly type: 'ahead'; readonly part: Regex; readonly negated: boolean }

/** A pattern that is wrong or cannot be enforced. */
export class PatternError extends Error {}

const CONTROL: Readonly<Record<string, number>> = { t: 9, n: 10, v: 11, f: 12, r: 13, '0': 0 }

/** Parses an ECMAScript pattern. Throws `PatternError` for what is wrong, and for backreferences and lookbehind. */
export function parsePattern(source: string): Regex {
  return new PatternParser(source).parse()
}

function single(point: number): Regex {
  return { type: 'set', set: [point, point] }
}

class PatternParser {
  readonly #points: readonly string[]
  #at = 0
  #depth = 0

  constructor(source: string) {
    this.#points = Array.from(source)
  }

  parse(): Regex {
    const tree = this.#alternatives()
    if (this.#at < this.#points.length) throw new PatternError(`unmatched \`)\` at ${this.#at}`)
    return tree
  }

  get #next(): string | undefined {
    return this.#points[this.#at]
  }

  #take(text: string): boolean {
    for (let i = 0; i < text.length; i++) if (this.#points[this.#at + i] !== text[i]) return false
    this.#at += text.length
    return true
  }

  #alternatives(): Regex {
    if (++this.#depth > 100) throw new PatternError('groups are nested more than 100 deep')
    const parts: Regex[] = []
    do parts.push(this.#sequence())
    while (this.#take('|'))
    this.#depth--
    return parts.length === 1 ? parts[0]! : { type: 'any', parts }
  }

  #sequence(): Regex {
    const parts: Regex[] = []
    while (this.#next !== undefined && this.#next !== '|' && this.#next !== ')') parts.push(this.#term())
    return parts.length === 1 ? parts[0]! : { type: 'all', parts }
  }

  #term(): Regex {
    const atom = this.#atom()
    const [min, max] = this.#quantifier()
    if (min === 1 && max === 1) return atom
    if (atom.type === 'assert' || atom.type === 'ahead') throw new PatternError('an assertion cannot be repeated')
    // Lazy or greedy: the same texts match.
    this.#take('?')
    return { type: 'repeat', part: atom, min, max }
  }

  #quantifier(): [number, number] {
    if (this.#take('*')) return [0, Infinity]
    if (this.#take('+')) return [1, Infinity]
    if (this.#take('?')) return [0, 1]
    const bounds =
      this.#next === '{' ? /^\{(\d+)(,(\d*))?\}/.exec(this.#points.slice(this.#at, this.#at + 24).join('')) : null
    if (!bounds) return [1, 1]
    this.#at += bounds[0].length
    const min = Number(bounds[1])
    const max = bounds[2] === undefined ? min : bounds[3] === '' ? Infinity : Number(bounds[3])
    if (max < min) throw new PatternError(`\`${bounds[0]}\` has its numbers out of order`)
    return [min, max]
  }

  #atom(): Regex {
    const character = this.#points[this.#at++]!
    switch (character) {
      case '.':
        return { type: 'set', set: complement(LINE_ENDS) }
      case '^':
        return { type: 'assert', at: 'start' }
      case '$':
        return { type: 'assert', at: 'end' }
      case '(':
        return this.#group()
      case '[':
        return { type: 'set', set: this.#characterClass() }
      case '\\':
        return this.#escape()
      case '*':
      case '+':
      case '?':
        throw new PatternError(`nothing to repeat before \`${character}\` at ${this.#at - 1}`)
      default:
        return single(character.codePointAt(0)!)
    }
  }

  #group(): Regex {
    if (this.#take('?=')) return this.#closed({ negated: false })
    if (this.#take('?!')) return this.#closed({ negated: true })
    if (this.#take('?<=') || this.#take('?<!')) throw new PatternError('lookbehind `(?<` cannot be enforced')
    if (this.#take('?<')) {
      while (this.#next !== undefined && this.#next !== '>') this.#at++
      this.#at++
    } else if (!this.#take('?:') && this.#next === '?')
      throw new PatternError(`\`(?${this.#points[this.#at + 1] ?? ''}\` cannot be enforced`)
    return this.#closed(null)
  }

  #closed(ahead: { readonly negated: boolean } | null): Regex {
    const part = this.#alternatives()
    if (!this.#take(')')) throw new PatternError('a group is not closed')
    return ahead ? { type: 'ahead', part, ...ahead } : part
  }

  #escape(): Regex {
    const next = this.#next
    if (next === 'b' || next === 'B') {
      this.#at++
      return { type: 'assert', at: next === 'b' ? 'word' : 'inside' }
    }
    if (next === 'k' || (next !== undefined && /[1-9]/.test(next)))
      throw new PatternError(`the backreference \`\\${next}\` cannot be enforced`)
    return { type: 'set', set: this.#escapedSet() }
  }

  /** What follows a backslash, in a class or outside. */
  #escapedSet(): CodePoints {
    const character = this.#points[this.#at++]
    switch (character) {
      case undefined:
        throw new PatternError('the pattern ends with a backslash')
      case 'd':
        return DIGITS
      case 'D':
        return complement(DIGITS)
      case 'w':
        return WORD
      case 'W':
        return complement(WORD)
      case 's':
        return SPACES
      case 'S':
        return complement(SPACES)
      case 'p':
      case 'P':
        return this.#property(character === 'P')
      case 'c':
        return point(this.#points[this.#at++]!.codePointAt(0)! % 32)
      case 'x':
        return point(this.#hex(2))
      case 'u':
        return point(this.#unicodeEscape())
      default:
        return point(CONTROL[character] ?? character.codePointAt(0)!)
    }
  }

  #property(negated: boolean): CodePoints {
    const end = this.#points.indexOf('}', this.#at)
    const name = this.#points.slice(this.#at + 1, end).join('')
    if (this.#next !== '{' || end < 0) throw new PatternError('`\\p` needs a property in braces')
    const set = unicodeProperty(name)
    if (!set) throw new PatternError(`there is no Unicode property \`${name}\``)
    this.#at = end + 1
    return negated ? complement(set) : set
  }

  #unicodeEscape(): number {
    if (this.#take('{')) {
      const end = this.#points.indexOf('}', this.#at)
      const value = Number.parseInt(this.#points.slice(this.#at, end).join(''), 16)
      if (end < 0 || !(value <= 0x10ffff)) throw new PatternError('`\\u{…}` is not a code point')
      this.#at = end + 1
      return value
    }
    const high = this.#hex(4)
    const low = /^\\u(d[c-f][0-9a-f]{2})/i.exec(this.#points.slice(this.#at, this.#at + 6).join(''))
    if (high < 0xd800 || high > 0xdbff || !low) return high
    this.#at += 6
    return 0x10000 + ((high - 0xd800) << 10) + (Number.parseInt(low[1]!, 16) - 0xdc00)
  }

  #hex(digits: number): number {
    const text = this.#points.slice(this.#at, this.#at + digits).join('')
    if (text.length !== digits || !/^[0-9a-f]+$/i.test(text))
      throw new PatternError(`\`\\${text}\` needs ${digits} hex digits`)
    this.#at += digits
    return Number.parseInt(text, 16)
  }

  #characterClass(): CodePoints {
    const negated = this.#take('^')
    const sets: CodePoints[] = []
    while (!this.#take(']')) {
      const first = this.#classMember()
      const ranged =
        this.#next === '-' && this.#points[this.#at + 1] !== ']' && this.#points[this.#at + 1] !== undefined
      if (!ranged || !isPoint(first)) {
        sets.push(first)
        continue
      }
      this.#at++
      const last = this.#classMember()
      if (!isPoint(last)) sets.push(first, point(0x2d), last)
      else if (last[0]! < first[0]!) throw new PatternError('a range in `[…]` is out of order')
      else sets.push([first[0]!, last[0]!])
    }
    const set = sets.length === 0 ? [] : union(...sets)
    return negated ? (set.length === 0 ? EVERY : complement(set)) : set
  }

  #classMember(): CodePoints {
    const character = this.#points[this.#at++]
    if (character === undefined) throw new PatternError('a `[` is not closed')
    if (character !== '\\') return point(character.codePointAt(0)!)
    if (this.#take('b')) return point(8)
    return this.#escapedSet()
  }
}

function point(value: number): CodePoints {
  return [value, value]
}

function isPoint(set: CodePoints): boolean {
  return set.length === 2 && set[0] === set[1]
}
