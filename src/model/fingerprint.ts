import { createHash, randomUUID } from 'node:crypto'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { canonicalJson } from '../core/json.ts'
import type { Checkpoint } from './checkpoint.ts'

/** Bytes hashed between two turns of the event loop. */
const PIECE_BYTES = 1 << 25

/**
 * Identity of a checkpoint: `sha256:…` over its canonical configuration and over name, dtype, shape and bytes of every tensor in name
 * order. How the tensors are spread over files does not matter.
 *
 * @param onBytes called with the bytes hashed since the last call
 */
export async function fingerprintCheckpoint(
  checkpoint: Checkpoint,
  onBytes: (bytes: number) => void = () => undefined,
): Promise<string> {
  const hash = createHash('sha256')
  hash.update(canonicalJson(checkpoint.config))
  const piece = new Uint8Array(PIECE_BYTES)
  for (const name of checkpoint.tensorNames) {
    const { dtype, shape, bytes } = checkpoint.entry(name)
    hash.update(canonicalJson([name, dtype, shape]))
    for (let done = 0; done < bytes; done += PIECE_BYTES) {
      const part = piece.subarray(0, Math.min(PIECE_BYTES, bytes - done))
      checkpoint.readBytes(name, part, done)
      hash.update(part)
      onBytes(part.length)
      await nextTurn()
    }
  }
  return `sha256:${hash.digest('hex')}`
}

/** Remembers fingerprints by path, size and times of a checkpoint's files, so that gigabytes are hashed once and not at every start. */
export class FingerprintCache {
  readonly #path: string
  readonly #dir: string

  constructor(cacheDir: string, checkpoint: Checkpoint) {
    const files = checkpoint.paths.map((path) => {
      const { size, mtimeNs, ctimeNs } = statSync(path, { bigint: true })
      return [path, String(size), String(mtimeNs), String(ctimeNs)]
    })
    this.#dir = join(cacheDir, 'fingerprints')
    this.#path = join(this.#dir, createHash('sha256').update(canonicalJson(files)).digest('hex'))
  }

  /** The remembered fingerprint; null when the files are new or have changed. */
  async read(): Promise<string | null> {
    const text = await readFile(this.#path, 'utf8').catch(() => '')
    return /^sha256:[0-9a-f]{64}$/.test(text) ? text : null
  }

  async write(fingerprint: string): Promise<void> {
    await mkdir(this.#dir, { recursive: true })
    const temporary = `${this.#path}.${randomUUID()}`
    await writeFile(temporary, fingerprint)
    await rename(temporary, this.#path)
  }
}
