import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs'
import { elementCount } from './header.ts'

/** Writers of the format fill the header with spaces, so that the values begin at a multiple of this. */
const ALIGNMENT = 8

/** A tensor to be written as F32. */
export interface NewTensor {
  readonly name: string
  readonly shape: readonly number[]
  /** Gives the values in row-major order; asked once, when it is their turn. */
  readonly values: () => Float32Array
}

/** Bytes of the tensors' values in a file. */
export function valueBytes(tensors: readonly NewTensor[]): number {
  return tensors.reduce((sum, { shape }) => sum + elementCount(shape), 0) * Float32Array.BYTES_PER_ELEMENT
}

/**
 * Writes and flushes a new safetensors file, one tensor after the other; blocks meanwhile.
 *
 * @throws the system's error where the file exists or cannot be written; what was written until then stays
 */
export function writeSafetensors(
  path: string,
  tensors: readonly NewTensor[],
  metadata: Readonly<Record<string, string>>,
): void {
  const fd = openSync(path, 'wx')
  try {
    writeAll(fd, headerBytes(tensors, metadata))
    for (const { name, shape, values } of tensors) {
      const data = values()
      if (data.length !== elementCount(shape))
        throw new RangeError(`${name}: ${data.length} values for [${shape.join(', ')}]`)
      writeAll(fd, new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
    }
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

function headerBytes(tensors: readonly NewTensor[], metadata: Readonly<Record<string, string>>): Uint8Array {
  let end = 0
  const entries = tensors.map(({ name, shape }) => {
    const begin = end
    end += elementCount(shape) * Float32Array.BYTES_PER_ELEMENT
    return [name, { dtype: 'F32', shape, data_offsets: [begin, end] }] as const
  })
  const json = Buffer.from(JSON.stringify({ __metadata__: metadata, ...Object.fromEntries(entries) }))
  const length = Math.ceil(json.length / ALIGNMENT) * ALIGNMENT
  const header = Buffer.alloc(8 + length, ' ')
  header.writeBigUInt64LE(BigInt(length))
  header.set(json, 8)
  return header
}

function writeAll(fd: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done, Math.min(bytes.length - done, 1 << 28))
}
