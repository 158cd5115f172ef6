const word = new Float32Array(1)
const bits = new Uint32Array(word.buffer)

/** The bits of the f16 nearest to a number, ties to even; numbers beyond its range become infinite. */
export function toFloat16(value: number): number {
  word[0] = value
  const all = bits[0]!
  const sign = (all >>> 16) & 0x8000
  const exponent = ((all >>> 23) & 0xff) - 127
  const fraction = all & 0x7fffff
  if (exponent === 128) return sign | 0x7c00 | (fraction === 0 ? 0 : 0x200)
  if (exponent > 15) return sign | 0x7c00
  if (exponent >= -14) return sign + roundShift(((exponent + 15) << 23) | fraction, 13)
  if (exponent < -25) return sign
  // Below the smallest normal number the leading one is written out.
  return sign + roundShift(0x800000 | fraction, -exponent - 1)
}

/** The number that f16 bits stand for. */
export function fromFloat16(half: number): number {
  const sign = half & 0x8000 ? -1 : 1
  const exponent = (half >> 10) & 0x1f
  const fraction = half & 0x3ff
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

/** The bits of the bf16 nearest to a number, ties to even; the number must be finite. */
export function toBfloat16(value: number): number {
  word[0] = value
  const all = bits[0]!
  return ((all + 0x7fff + ((all >>> 16) & 1)) >>> 16) & 0xffff
}

/** The number that bf16 bits stand for. */
export function fromBfloat16(half: number): number {
  bits[0] = half << 16
  return word[0]!
}

/** `value / 2^shift`, rounded to the nearest whole number, ties to even. */
function roundShift(value: number, shift: number): number {
  const whole = value >>> shift
  const rest = value & ((1 << shift) - 1)
  const half = 1 << (shift - 1)
  return rest > half || (rest === half && (whole & 1) === 1) ? whole + 1 : whole
}
