import { closeSync, openSync, renameSync, writeSync } from 'node:fs'
import { Noise } from './noise.ts'

/** A tensor of noise, or of ones where no deviation is given. */
export interface PlannedTensor {
  readonly name: string
  readonly shape: readonly number[]
  readonly deviation: number | null
}

const BYTES = { F32: 4, BF16: 2 } as const

/** Writes a safetensors file of seeded noise. It has its name only when it is complete. */
export function writeNoise(
  path: string,
  tensors: readonly PlannedTensor[],
  { dtype, seed }: { readonly dtype: keyof typeof BYTES; readonly seed: number },
): void {
  const noise = new Noise(seed)
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } }
  let end = 0
  for (const { name, shape } of tensors) {
    const bytes = elements(shape) * BYTES[dtype]
    header[name] = { dtype, shape, data_offsets: [end, end + bytes] }
    end += bytes
  }
  const text = Buffer.from(JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(text.length))

  const temporary = `${path}.partial`
  const fd = openSync(temporary, 'w')
  try {
    for (const part of [length, text]) writeSync(fd, part)
    for (const tensor of tensors) writeSync(fd, valuesOf(tensor, dtype, noise))
  } finally {
    closeSync(fd)
  }
  renameSync(temporary, path)
}

function valuesOf({ shape, deviation }: PlannedTensor, dtype: keyof typeof BYTES, noise: Noise): Uint8Array {
  const count = elements(shape)
  const values = dtype === 'F32' ? new Float32Array(count) : new Uint16Array(count)
  if (values instanceof Float32Array) {
    if (deviation === null) values.fill(1)
    else noise.f32(values, deviation)
  } else {
    if (deviation === null) values.fill(0x3f80)
    else noise.bf16(values, deviation)
  }
  return new Uint8Array(values.buffer)
}

function elements(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1)
}
