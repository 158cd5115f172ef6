import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import type { ErrorCode } from '../core/errors.ts'
import { TroupeError, messageOf } from '../core/errors.ts'
import { DTYPE_BYTES, FLOAT_DTYPES, isFloatDtype, widen } from './dtype.ts'
import { HEAD_BYTES, foreignKind } from './foreign.ts'
import type { Header, TensorEntry } from './header.ts'
import { elementCount, headerLength, parseHeader } from './header.ts'

/** Most bytes per read call: Node refuses more than 2 GiB at once. */
const READ_BYTES = 1 << 28
/** Elements widened at a time: the scratch stays in the processor's cache. */
const WIDEN_ELEMENTS = 1 << 18

/** Where the bytes of a file come from. */
interface ByteSource {
  readonly size: number
  /** Fills `target` from `position`. */
  read(target: Uint8Array, position: number): void
  close(): void
}

/** An open safetensors file whose header has been checked. Values are read on demand. */
export class SafetensorsFile {
  readonly file: string
  readonly tensors: ReadonlyMap<string, TensorEntry>
  readonly metadata: Header['metadata']
  readonly #source: ByteSource
  readonly #code: ErrorCode

  constructor(source: ByteSource, file: string, code: ErrorCode) {
    this.file = file
    this.#source = source
    this.#code = code
    const prefix = new Uint8Array(Math.min(HEAD_BYTES, source.size))
    source.read(prefix, 0)
    const foreign = foreignKind(prefix)
    if (foreign !== null) {
      const message = `${file} is ${foreign.what}, and not safetensors: ${foreign.instead}`
      throw new TroupeError(code, message, { param: file })
    }
    const header = new Uint8Array(headerLength(prefix, source.size, file, code))
    source.read(header, 8)
    const { tensors, metadata } = parseHeader(header, source.size, file, code)
    this.tensors = tensors
    this.metadata = metadata
  }

  /** The header's entry of a tensor; throws a `TroupeError` naming it when there is none. */
  entry(name: string): TensorEntry {
    const entry = this.tensors.get(name)
    if (entry === undefined) {
      throw new TroupeError(this.#code, `${this.file} has no tensor "${name}"`, { param: name })
    }
    return entry
  }

  /**
   * Reads values of an F32, F16 or BF16 tensor as f32.
   *
   * @param into filled to its end; default: a new array for the whole tensor
   * @param start first element to read, in row-major order
   * @throws TroupeError for other dtypes
   */
  readF32(name: string, into?: Float32Array, start = 0): Float32Array {
    const { dtype, shape, offset } = this.entry(name)
    if (!isFloatDtype(dtype)) {
      const message = `${this.file}: tensor "${name}" is ${dtype}; supported are ${FLOAT_DTYPES.join(', ')}: convert it and save again`
      throw new TroupeError(this.#code, message, { param: name })
    }
    const count = elementCount(shape)
    const target = into ?? new Float32Array(count)
    if (start + target.length > count)
      throw new RangeError(`${name}: [${start}, +${target.length}) of ${count} elements`)
    const width = DTYPE_BYTES[dtype]
    const position = offset + start * width
    if (dtype === 'F32') {
      this.#source.read(new Uint8Array(target.buffer, target.byteOffset, target.byteLength), position)
      return target
    }
    const scratch = new Uint16Array(Math.min(target.length, WIDEN_ELEMENTS))
    for (let done = 0; done < target.length; done += scratch.length) {
      const piece = scratch.subarray(0, Math.min(scratch.length, target.length - done))
      this.#source.read(new Uint8Array(piece.buffer, 0, piece.byteLength), position + done * width)
      widen(dtype, piece, target.subarray(done, done + piece.length))
    }
    return target
  }

  /** Fills `target` with raw bytes of a tensor from byte `start` on. */
  readBytes(name: string, target: Uint8Array, start = 0): void {
    const { offset, bytes } = this.entry(name)
    if (start + target.length > bytes) throw new RangeError(`${name}: [${start}, +${target.length}) of ${bytes} bytes`)
    this.#source.read(target, offset + start)
  }

  close(): void {
    this.#source.close()
  }
}

/**
 * Opens a file and checks its header.
 *
 * @param code code of every error about the file's content
 * @param file how the file is called in messages
 */
export function openSafetensors(path: string, code: ErrorCode, file = path): SafetensorsFile {
  let fd: number
  try {
    fd = openSync(path, 'r')
  } catch (cause) {
    throw new TroupeError(code, `${file} cannot be opened: ${messageOf(cause)}`, { param: file, cause })
  }
  return safetensorsFrom(fd, code, file)
}

/** The same for an open file, which is closed with what is returned, or when its header is refused. */
export function safetensorsFrom(fd: number, code: ErrorCode, file: string): SafetensorsFile {
  try {
    return new SafetensorsFile(fileSource(fd, code, file), file, code)
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

/** The same for a file in memory; the bytes are not copied and must not change. */
export function parseSafetensors(bytes: Uint8Array, code: ErrorCode, file: string): SafetensorsFile {
  const source: ByteSource = {
    size: bytes.byteLength,
    read: (target, position) => target.set(bytes.subarray(position, position + target.length)),
    close: () => undefined,
  }
  return new SafetensorsFile(source, file, code)
}

function fileSource(fd: number, code: ErrorCode, file: string): ByteSource {
  const read = (target: Uint8Array, position: number): void => {
    for (let done = 0; done < target.length;) {
      let got: number
      try {
        got = readSync(fd, target, done, Math.min(READ_BYTES, target.length - done), position + done)
      } catch (cause) {
        throw new TroupeError(code, `${file} cannot be read: ${messageOf(cause)}`, { param: file, cause })
      }
      if (got === 0) throw new TroupeError(code, `${file} became shorter while it was read`, { param: file })
      done += got
    }
  }
  return { size: fstatSync(fd).size, read, close: () => closeSync(fd) }
}
