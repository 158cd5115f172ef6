import { floorDiv } from '../schema/decimal.ts'
import type { NumberTable } from './tables.ts'

/** A number read so far. Equal keys behave alike. */
export interface NumberState {
  readonly key: string
  readonly canEnd: boolean
  step(byte: number): NumberState | null
}

const MINUS = 0x2d
const POINT = 0x2e
const ZERO = 0x30

export function numberStart(table: NumberTable): NumberState {
  switch (table.type) {
    case 'free':
      return new FreeNumber('start', 0, table.integer)
    case 'words':
      return new WordNumber(table.words, '')
    case 'range':
      return new RangeNumber(table, false, 0n, 0, -1, '')
  }
}

const MAX_DIGITS = 24

type FreePart =
  'start' | 'minus' | 'zero' | 'whole' | 'point' | 'fraction' | 'exponent' | 'plus' | 'small' | 'power' | 'root'

const ENDS: ReadonlySet<FreePart> = new Set<FreePart>(['zero', 'whole', 'fraction', 'power', 'root'])

/** Any number, or any whole one, of a bounded number of digits: what is written is finite when it is read. */
class FreeNumber implements NumberState {
  readonly key: string
  readonly #part: FreePart
  readonly #digits: number
  readonly #integer: boolean

  constructor(part: FreePart, digits: number, integer: boolean) {
    this.#part = part
    this.#digits = digits
    this.#integer = integer
    this.key = `${part}${digits}`
  }

  get canEnd(): boolean {
    return ENDS.has(this.#part)
  }

  step(byte: number): NumberState | null {
    const digit = byte >= ZERO && byte <= 0x39
    const exponent = !this.#integer && (byte === 0x65 || byte === 0x45)
    switch (this.#part) {
      case 'start':
        return byte === MINUS ? this.#to('minus') : digit ? this.#to(byte === ZERO ? 'zero' : 'whole', 1) : null
      case 'minus':
        return digit ? this.#to(byte === ZERO ? 'zero' : 'whole', 1) : null
      case 'zero':
        return byte === POINT && !this.#integer ? this.#to('point') : exponent ? this.#to('exponent') : null
      case 'whole':
        if (digit) return this.#more('whole', MAX_DIGITS)
        return byte === POINT && !this.#integer ? this.#to('point') : exponent ? this.#to('exponent') : null
      case 'point':
        return digit ? this.#to('fraction', 1) : null
      case 'fraction':
        return digit ? this.#more('fraction', MAX_DIGITS) : exponent ? this.#to('exponent') : null
      case 'exponent':
        if (byte === 0x2b) return this.#to('plus')
        return byte === MINUS ? this.#to('small') : digit ? this.#to('power', 1) : null
      case 'plus':
        return digit ? this.#to('power', 1) : null
      case 'small':
        return digit ? this.#to('root', 1) : null
      case 'power':
        return digit ? this.#more('power', 2) : null
      case 'root':
        return digit ? this.#more('root', 3) : null
    }
  }

  #to(part: FreePart, digits = 0): FreeNumber {
    return new FreeNumber(part, digits, this.#integer)
  }

  #more(part: FreePart, most: number): FreeNumber | null {
    return this.#digits < most ? this.#to(part, this.#digits + 1) : null
  }
}

/** One of a list. */
class WordNumber implements NumberState {
  readonly key: string
  readonly #words: readonly string[]

  constructor(words: readonly string[], text: string) {
    this.#words = words
    this.key = text
  }

  get canEnd(): boolean {
    return this.#words.includes(this.key)
  }

  step(byte: number): NumberState | null {
    const text = this.key + String.fromCharCode(byte)
    return this.#words.some((word) => word.startsWith(text)) ? new WordNumber(this.#words, text) : null
  }
}

type Range = Extract<NumberTable, { type: 'range' }>

/** Whether a number of the table lies between two, both inclusive and multiplied as in the table. */
export function hasNumber(table: Range, from: bigint, to: bigint): boolean {
  const low = from > table.low ? from : table.low
  const high = to < table.high ? to : table.high
  const { multipleOf: unit } = table
  let candidate = unit === 1n ? low : -floorDiv(-low, unit) * unit
  const plain = table.not.length === 0 && table.notMultipleOf.length === 0
  if (plain) return candidate <= high
  for (let tries = 0; candidate <= high && tries < 1_000; tries++, candidate += unit)
    if (fits(table, candidate)) return true
  return false
}

function fits(table: Range, value: bigint): boolean {
  return (
    value >= table.low &&
    value <= table.high &&
    value % table.multipleOf === 0n &&
    !table.notMultipleOf.some((other) => value % other === 0n) &&
    !table.not.includes(value)
  )
}

/** A number of a range: every digit leaves something that can still be reached. */
class RangeNumber implements NumberState {
  readonly key: string
  readonly canEnd: boolean
  readonly #table: Range
  readonly #negative: boolean
  readonly #digits: bigint
  readonly #whole: number
  /** Digits after the point; -1 = before it. */
  readonly #fraction: number

  constructor(table: Range, negative: boolean, digits: bigint, whole: number, fraction: number, key: string) {
    this.#table = table
    this.#negative = negative
    this.#digits = digits
    this.#whole = whole
    this.#fraction = fraction
    this.key = key
    const value = this.#scaled(digits)
    this.canEnd = whole > 0 && fraction !== 0 && !(negative && value === 0n) && fits(table, negative ? -value : value)
  }

  step(byte: number): NumberState | null {
    const key = this.key + String.fromCharCode(byte)
    const [table, negative, digits, whole, fraction] = [
      this.#table,
      this.#negative,
      this.#digits,
      this.#whole,
      this.#fraction,
    ]
    let next: RangeNumber
    if (byte === MINUS && key === '-') next = new RangeNumber(table, true, 0n, 0, -1, key)
    else if (byte === POINT && whole > 0 && fraction < 0 && table.decimals > 0)
      next = new RangeNumber(table, negative, digits, whole, 0, key)
    else if (byte < ZERO || byte > 0x39 || (fraction < 0 && whole > 0 && digits === 0n) || fraction >= table.decimals)
      return null
    else {
      const value = digits * 10n + BigInt(byte - ZERO)
      next =
        fraction < 0
          ? new RangeNumber(table, negative, value, whole + 1, -1, key)
          : new RangeNumber(table, negative, value, whole, fraction + 1, key)
    }
    return next.#lives ? next : null
  }

  /** Whether something that begins so is in the range. */
  get #lives(): boolean {
    if (this.#whole === 0) return hasNumber(this.#table, this.#table.low, -1n)
    if (this.#fraction >= 0) return this.#reaches(this.#scaled(this.#digits), this.#scaled(this.#digits + 1n) - 1n)
    const unit = 10n ** BigInt(this.#table.decimals)
    const limit = this.#negative ? -this.#table.low : this.#table.high
    let [first, width] = [this.#digits * unit, unit]
    while (first <= limit) {
      if (this.#reaches(first, first + width - 1n)) return true
      if (this.#digits === 0n) return false
      first *= 10n
      width *= 10n
    }
    return false
  }

  #reaches(from: bigint, to: bigint): boolean {
    if (!this.#negative) return hasNumber(this.#table, from, to)
    return hasNumber(this.#table, -to, from === 0n ? -1n : -from)
  }

  #scaled(digits: bigint): bigint {
    return digits * 10n ** BigInt(this.#table.decimals - Math.max(0, this.#fraction))
  }
}
