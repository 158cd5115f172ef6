/** An exact decimal: `digits · 10^-scale`. */
export interface Decimal {
  readonly digits: bigint
  readonly scale: number
}

export const ONE: Decimal = { digits: 1n, scale: 0 }

/** The decimal that JavaScript writes for this number. */
export function decimalOf(value: number): Decimal {
  const [mantissa, exponent = '0'] = String(value).split('e')
  const [whole, fraction = ''] = mantissa!.split('.')
  const scale = fraction.length - Number(exponent)
  const digits = BigInt(whole! + fraction)
  return scale >= 0 ? { digits, scale } : { digits: digits * 10n ** BigInt(-scale), scale: 0 }
}

/** `value · 10^scale`, rounded down or up to a whole number. */
export function scaled({ digits, scale }: Decimal, to: number, round: 'down' | 'up'): bigint {
  if (scale <= to) return digits * 10n ** BigInt(to - scale)
  const unit = 10n ** BigInt(scale - to)
  const floor = floorDiv(digits, unit)
  return round === 'up' && floor * unit !== digits ? floor + 1n : floor
}

export function compare(a: Decimal, b: Decimal): number {
  const scale = Math.max(a.scale, b.scale)
  const [x, y] = [scaled(a, scale, 'down'), scaled(b, scale, 'down')]
  return x < y ? -1 : x > y ? 1 : 0
}

export function isMultiple(value: Decimal, of: Decimal): boolean {
  const scale = Math.max(value.scale, of.scale)
  return scaled(value, scale, 'down') % scaled(of, scale, 'down') === 0n
}

/** The least decimal that is a multiple of both. */
export function commonMultiple(a: Decimal, b: Decimal): Decimal {
  const scale = Math.max(a.scale, b.scale)
  const [x, y] = [scaled(a, scale, 'down'), scaled(b, scale, 'down')]
  let [big, small] = [x, y]
  while (small !== 0n) [big, small] = [small, big % small]
  return simplest({ digits: (x / big) * y, scale })
}

export function simplest({ digits, scale }: Decimal): Decimal {
  while (scale > 0 && digits % 10n === 0n) {
    digits /= 10n
    scale--
  }
  return { digits, scale }
}

export function floorDiv(a: bigint, b: bigint): bigint {
  const quotient = a / b
  return a % b !== 0n && a < 0n !== b < 0n ? quotient - 1n : quotient
}
