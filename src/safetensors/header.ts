import type { ErrorCode } from '../core/errors.ts'
import { TroupeError } from '../core/errors.ts'
import type { JsonObject } from '../core/json.ts'
import { isJsonObject, parseJsonObject } from '../core/json.ts'
import type { Dtype } from './dtype.ts'
import { DTYPE_BYTES, isDtype } from './dtype.ts'
import { findDuplicateKey } from './duplicate-keys.ts'

/** Longest header the format allows, in bytes. */
const MAX_HEADER_BYTES = 100_000_000

export interface TensorEntry {
  readonly dtype: Dtype
  readonly shape: readonly number[]
  /** Where the values begin, in bytes from the start of the file. */
  readonly offset: number
  readonly bytes: number
}

export interface Header {
  readonly tensors: ReadonlyMap<string, TensorEntry>
  /** The file's `__metadata__`; empty when there is none. */
  readonly metadata: Readonly<Record<string, string>>
}

/** Elements of a tensor of this shape. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1)
}

/** Length of the JSON header, from the file's first eight bytes. */
export function headerLength(prefix: Uint8Array, fileBytes: number, file: string, code: ErrorCode): number {
  if (fileBytes < 8) throw refusal(code, file, `has ${fileBytes} bytes: truncated, or not a safetensors file`)
  const length = new DataView(prefix.buffer, prefix.byteOffset, 8).getBigUint64(0, true)
  if (length > BigInt(MAX_HEADER_BYTES)) {
    throw refusal(
      code,
      file,
      `claims a header of ${length} bytes (at most ${MAX_HEADER_BYTES}): not a safetensors file`,
    )
  }
  if (length > BigInt(fileBytes - 8)) {
    throw refusal(code, file, `claims a header of ${length} bytes but has only ${fileBytes}: truncated`)
  }
  return Number(length)
}

/**
 * Parses and checks a header. The tensors must cover the rest of the file exactly: no overlap, no gap, nothing after the last.
 *
 * @param header bytes of the JSON header
 * @param fileBytes size of the whole file
 */
export function parseHeader(header: Uint8Array, fileBytes: number, file: string, code: ErrorCode): Header {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(header)
  } catch (cause) {
    throw new TroupeError(code, `${file}: the header is not UTF-8 text`, { param: file, cause })
  }
  if (!text.startsWith('{')) throw refusal(code, file, 'has a header that does not begin with "{"')
  const json = parseJsonObject(text, `the header of ${file}`, code)
  const duplicate = findDuplicateKey(text)
  if (duplicate !== null) throw refusal(code, file, `names "${duplicate}" twice in its header`)

  const dataStart = 8 + header.byteLength
  const tensors = new Map<string, TensorEntry>()
  let metadata: Record<string, string> = {}
  for (const [name, value] of Object.entries(json)) {
    if (name === '__metadata__') metadata = parseMetadata(value, file, code)
    else tensors.set(name, parseEntry(name, value, dataStart, fileBytes, file, code))
  }
  checkCoverage(tensors, dataStart, fileBytes, file, code)
  return { tensors, metadata }
}

function parseMetadata(value: unknown, file: string, code: ErrorCode): Record<string, string> {
  if (!isJsonObject(value)) throw refusal(code, file, 'has a "__metadata__" that is not an object')
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== 'string') throw refusal(code, file, `has a "__metadata__" entry "${key}" that is not a string`)
  }
  return value as Record<string, string>
}

function parseEntry(
  name: string,
  value: unknown,
  dataStart: number,
  fileBytes: number,
  file: string,
  code: ErrorCode,
): TensorEntry {
  const at = `tensor "${name}"`
  if (!isJsonObject(value)) throw refusal(code, file, `${at}: the entry is not an object`)
  const entry: JsonObject = value
  const unknown = Object.keys(entry).find((key) => key !== 'dtype' && key !== 'shape' && key !== 'data_offsets')
  if (unknown !== undefined) throw refusal(code, file, `${at}: unknown field "${unknown}"`)

  const { dtype, shape, data_offsets: offsets } = entry
  if (!isDtype(dtype)) throw refusal(code, file, `${at}: unknown dtype ${JSON.stringify(dtype)}`)
  if (!isSizeList(shape)) {
    throw refusal(code, file, `${at}: shape ${JSON.stringify(shape)} is not a list of sizes of 0 or more`)
  }
  if (!isSizeList(offsets) || offsets.length !== 2) {
    throw refusal(code, file, `${at}: data_offsets ${JSON.stringify(offsets)} is not a pair of byte positions`)
  }
  const [begin, end] = offsets as [number, number]
  if (begin > end || dataStart + end > fileBytes) {
    throw refusal(code, file, `${at}: data_offsets [${begin}, ${end}] lie outside the file (truncated?)`)
  }
  const expected = elementCount(shape) * DTYPE_BYTES[dtype]
  if (end - begin !== expected) {
    throw refusal(
      code,
      file,
      `${at}: ${dtype} [${shape.join(', ')}] takes ${expected} bytes, data_offsets give ${end - begin}`,
    )
  }
  return { dtype, shape, offset: dataStart + begin, bytes: end - begin }
}

function isSizeList(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0)
}

function checkCoverage(
  tensors: ReadonlyMap<string, TensorEntry>,
  dataStart: number,
  fileBytes: number,
  file: string,
  code: ErrorCode,
): void {
  const inOrder = [...tensors].sort(([, x], [, y]) => x.offset - y.offset || x.bytes - y.bytes)
  let position = dataStart
  for (const [name, { offset, bytes }] of inOrder) {
    if (offset !== position) {
      const fault = offset < position ? 'overlaps the tensor before it' : 'leaves a gap after the tensor before it'
      throw refusal(code, file, `tensor "${name}" ${fault}`)
    }
    position += bytes
  }
  if (position !== fileBytes) throw refusal(code, file, `has ${fileBytes - position} bytes after its last tensor`)
}

function refusal(code: ErrorCode, file: string, fault: string): TroupeError {
  return new TroupeError(code, `${file} ${fault}`, { param: file })
}
