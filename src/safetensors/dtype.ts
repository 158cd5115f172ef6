/** Bytes per element of every dtype a safetensors file may name. */
export const DTYPE_BYTES = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  I64: 8,
  U64: 8,
  F64: 8,
} as const

export type Dtype = keyof typeof DTYPE_BYTES

/** Dtypes that weights can be read from. */
export const FLOAT_DTYPES = ['F32', 'F16', 'BF16'] as const
export type FloatDtype = (typeof FLOAT_DTYPES)[number]

export function isDtype(name: unknown): name is Dtype {
  return typeof name === 'string' && Object.hasOwn(DTYPE_BYTES, name)
}

export function isFloatDtype(dtype: Dtype): dtype is FloatDtype {
  return (FLOAT_DTYPES as readonly Dtype[]).includes(dtype)
}

let halfTable: Float32Array | null = null

/** Value of every IEEE 754 binary16 bit pattern. */
function halfValues(): Float32Array {
  if (halfTable !== null) return halfTable
  const table = new Float32Array(65536)
  for (let bits = 0; bits < 65536; bits++) {
    const exponent = (bits >> 10) & 31
    const fraction = bits & 1023
    const magnitude =
      exponent === 31
        ? fraction === 0
          ? Infinity
          : NaN
        : exponent === 0
          ? fraction * 2 ** -24
          : (1 + fraction / 1024) * 2 ** (exponent - 15)
    table[bits] = bits & 0x8000 ? -magnitude : magnitude
  }
  halfTable = table
  return table
}

/** Widens little-endian 16-bit floats into the first `source.length` elements of `target`. */
export function widen(dtype: 'F16' | 'BF16', source: Uint16Array, target: Float32Array): void {
  if (dtype === 'F16') {
    const table = halfValues()
    for (let i = 0; i < source.length; i++) target[i] = table[source[i]!]!
    return
  }
  const bits = new Uint32Array(target.buffer, target.byteOffset, source.length)
  for (let i = 0; i < source.length; i++) bits[i] = source[i]! << 16
}
