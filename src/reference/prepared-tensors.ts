import { closeSync, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { TroupeError } from '../core/errors.ts'
import type { PreparedManifest, PreparedModel, PreparedTensor } from '../model/prepared.ts'
import { WEIGHTS_FILE } from '../model/prepared.ts'
import { widen } from '../safetensors/dtype.ts'

/** Bytes of one read: the system takes no more than 2 GiB at once. */
const MOST_AT_ONCE = 2 ** 30

/** Reads the tensors of a prepared model from its file. */
export class PreparedTensors {
  readonly #path: string
  readonly #tensors: PreparedManifest['tensors']
  readonly #file: number

  constructor({ dir, manifest }: PreparedModel) {
    this.#path = join(dir, WEIGHTS_FILE)
    this.#tensors = manifest.tensors
    this.#file = openSync(this.#path, 'r')
  }

  has(name: string): boolean {
    return name in this.#tensors
  }

  shapeOf(name: string): readonly number[] {
    return this.#tensor(name).shape
  }

  /** A whole f32 tensor. */
  floats(name: string): Float32Array {
    const values = new Float32Array(this.#tensor(name).bytes / Float32Array.BYTES_PER_ELEMENT)
    this.read(name, values)
    return values
  }

  formatOf(name: string): PreparedTensor['format'] {
    return this.#tensor(name).format
  }

  /** `count` elements of an f32, bf16 or f16 tensor from element `first` on. */
  widened(name: string, first: number, count: number): Float32Array {
    const values = new Float32Array(count)
    const format = this.formatOf(name)
    if (format === 'f32') this.read(name, values, first)
    else {
      const halves = new Uint16Array(count)
      this.read(name, halves, first)
      widen(format === 'bf16' ? 'BF16' : 'F16', halves, values)
    }
    return values
  }

  /** Fills `into` from element `first` of a tensor on. @throws TroupeError `storage_error` naming the file */
  read(name: string, into: Float32Array | Uint8Array | Uint16Array | Int32Array, first = 0): void {
    const start = this.#tensor(name).offset + first * into.BYTES_PER_ELEMENT
    const bytes = new Uint8Array(into.buffer, into.byteOffset, into.byteLength)
    for (let done = 0; done < bytes.length;) {
      const length = Math.min(MOST_AT_ONCE, bytes.length - done)
      const count = readSync(this.#file, bytes, done, length, start + done)
      if (count === 0) throw new TroupeError('storage_error', `${this.#path} is too short for ${name}`)
      done += count
    }
  }

  close(): void {
    closeSync(this.#file)
  }

  #tensor(name: string): PreparedTensor {
    const tensor = this.#tensors[name]
    if (tensor === undefined) throw new Error(`the prepared model lacks ${name}`)
    return tensor
  }
}
