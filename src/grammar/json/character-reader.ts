/** Code points from the first to the last. */
export type PointRange = readonly [number, number]

const ESCAPES: Readonly<Record<number, number>> = {
  0x22: 0x22,
  0x5c: 0x5c,
  0x2f: 0x2f,
  0x62: 8,
  0x66: 12,
  0x6e: 10,
  0x72: 13,
  0x74: 9,
}
const BACKSLASH = 0x5c
const ALL: readonly PointRange[] = [
  [0, 0xd7ff],
  [0xe000, 0x10ffff],
]
/** What `\\u` may stand for in the first plane: not the letters that every serialiser writes as they are. */
const ESCAPED: readonly PointRange[] = [
  [0, 0x1f],
  [0x22, 0x22],
  [0x26, 0x27],
  [0x2f, 0x2f],
  [0x3c, 0x3c],
  [0x3e, 0x3e],
  [0x5c, 0x5c],
  [0x7f, 0xd7ff],
  [0xe000, 0xffff],
]
const ESCAPABLE: readonly PointRange[] = [...ESCAPED, [0x10000, 0x10ffff]]

type Mode = 'start' | 'utf8' | 'escape' | 'unicode' | 'low'

/** What was read of one character of a JSON string: bytes of UTF-8 or an escape. Without escapes it reads plain text. */
export class CharacterReader {
  readonly key: string
  readonly #mode: Mode
  /** Bits read so far. */
  readonly #value: number
  /** Bytes or hex digits still due. */
  readonly #left: number
  /** The first half of a surrogate pair. */
  readonly #high: number
  readonly #json: boolean

  constructor(mode: Mode, value: number, left: number, high: number, json: boolean) {
    this.#mode = mode
    this.#value = value
    this.#left = left
    this.#high = high
    this.#json = json
    this.key = mode === 'start' ? '' : `${mode} ${value} ${left} ${high}`
  }

  /** A code point that is complete, the reader for what is due, or null where the byte cannot stand. Quotes are the caller's. */
  next(byte: number): number | CharacterReader | null {
    switch (this.#mode) {
      case 'start':
        return this.#first(byte)
      case 'utf8':
        return this.#continued(byte)
      case 'escape':
        if (byte === 0x75) return this.#to('unicode', 0, 4)
        return ESCAPES[byte] ?? null
      case 'unicode':
        return this.#hex(byte)
      case 'low':
        if (this.#left === 2) return byte === BACKSLASH ? this.#to('low', 0, 1) : null
        return byte === 0x75 ? this.#to('unicode', 0, 4) : null
    }
  }

  /** The characters that this may become. */
  get ranges(): readonly PointRange[] {
    switch (this.#mode) {
      case 'start':
        return ALL
      case 'escape':
        return ESCAPABLE
      case 'utf8': {
        const bits = 6 * this.#left
        const least = this.#left === 0 ? 0 : LEAST[this.#high]!
        return [[Math.max(least, this.#value << bits), Math.min(0x10ffff, ((this.#value + 1) << bits) - 1)]]
      }
      case 'low':
        return [pair(this.#high, 0xdc00, 0xdfff)]
      case 'unicode':
        return this.#unitRanges()
    }
  }

  #first(byte: number): number | CharacterReader | null {
    if (byte < 0x80) {
      if (!this.#json) return byte
      return byte === BACKSLASH ? this.#to('escape', 0, 0) : byte < 0x20 ? null : byte
    }
    if (byte < 0xc2 || byte > 0xf4) return null
    if (byte < 0xe0) return this.#to('utf8', byte & 0x1f, 1, 2)
    return byte < 0xf0 ? this.#to('utf8', byte & 0xf, 2, 3) : this.#to('utf8', byte & 7, 3, 4)
  }

  #continued(byte: number): number | CharacterReader | null {
    if (byte >> 6 !== 2) return null
    const value = (this.#value << 6) | (byte & 0x3f)
    const left = this.#left - 1
    const [low, high] = [value << (6 * left), ((value + 1) << (6 * left)) - 1]
    const surrogate = low >= 0xd800 && high <= 0xdfff
    if (high < LEAST[this.#high]! || low > 0x10ffff || surrogate) return null
    return left === 0 ? value : this.#to('utf8', value, left, this.#high)
  }

  #hex(byte: number): number | CharacterReader | null {
    const digit =
      byte >= 0x30 && byte <= 0x39
        ? byte - 0x30
        : (byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x66
          ? (byte | 0x20) - 0x57
          : -1
    if (digit < 0) return null
    const next = this.#to('unicode', this.#value * 16 + digit, this.#left - 1)
    if (next.ranges.length === 0) return null
    if (this.#left > 1) return next
    const unit = next.#value
    if (this.#high > 0) return unit >= 0xdc00 && unit <= 0xdfff ? pair(this.#high, unit, unit)[0] : null
    if (unit >= 0xdc00 && unit <= 0xdfff) return null
    return unit >= 0xd800 && unit <= 0xdbff ? new CharacterReader('low', 0, 2, unit, true) : unit
  }

  /** What four hex digits of which some are due may become. */
  #unitRanges(): readonly PointRange[] {
    const width = 16 ** this.#left
    const [first, last] = [this.#value * width, (this.#value + 1) * width - 1]
    if (this.#high > 0) {
      const [low, high] = [Math.max(first, 0xdc00), Math.min(last, 0xdfff)]
      return low <= high ? [pair(this.#high, low, high)] : []
    }
    const out: PointRange[] = []
    const clip = (from: number, to: number): PointRange => [Math.max(first, from), Math.min(last, to)]
    for (const range of ESCAPED) {
      const [from, to] = clip(...range)
      if (from <= to) out.push([from, to])
    }
    const [from, to] = clip(0xd800, 0xdbff)
    if (from <= to) out.push([pair(from, 0xdc00, 0xdc00)[0], pair(to, 0xdfff, 0xdfff)[0]])
    return out
  }

  #to(mode: Mode, value: number, left: number, high = this.#high): CharacterReader {
    return new CharacterReader(mode, value, left, high, this.#json)
  }
}

/** Between two characters of a JSON string. */
export const IN_STRING = new CharacterReader('start', 0, 0, 0, true)
/** Between two characters of plain text. */
export const IN_TEXT = new CharacterReader('start', 0, 0, 0, false)

/** The least code point that UTF-8 writes with so many bytes. */
const LEAST: readonly number[] = [0, 0, 0x80, 0x800, 0x10000]

function pair(high: number, low: number, last: number): PointRange {
  const base = 0x10000 + ((high - 0xd800) << 10)
  return [base + low - 0xdc00, base + last - 0xdc00]
}
