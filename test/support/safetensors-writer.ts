import { writeFileSync } from 'node:fs'

export interface TensorSpec {
  /** Default F32. F16 and BF16 take the bit patterns as `bits`. */
  readonly dtype?: string
  readonly shape: readonly number[]
  readonly values?: ArrayLike<number>
  readonly bits?: Uint16Array
}

/** Bytes of a safetensors file with these tensors in this order; values are zero where none are given. */
export function safetensorsBytes(
  tensors: Readonly<Record<string, TensorSpec>>,
  metadata?: Readonly<Record<string, string>>,
): Uint8Array {
  const header: Record<string, unknown> = metadata === undefined ? {} : { __metadata__: metadata }
  const parts: Uint8Array[] = []
  let end = 0
  for (const [name, { dtype = 'F32', shape, values, bits }] of Object.entries(tensors)) {
    const count = shape.reduce((product, size) => product * size, 1)
    const data = bits ?? Float32Array.from({ length: count }, (_, i) => values?.[i] ?? 0)
    header[name] = { dtype, shape, data_offsets: [end, end + data.byteLength] }
    parts.push(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
    end += data.byteLength
  }
  return withHeader(JSON.stringify(header), Buffer.concat(parts))
}

/** A file with any header text, for files that lie. */
export function withHeader(header: string, data: Uint8Array = new Uint8Array(0)): Uint8Array {
  const text = Buffer.from(header)
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(text.length))
  return Buffer.concat([length, text, data])
}

export function writeSafetensors(
  path: string,
  tensors: Readonly<Record<string, TensorSpec>>,
  metadata?: Readonly<Record<string, string>>,
): void {
  writeFileSync(path, safetensorsBytes(tensors, metadata))
}
