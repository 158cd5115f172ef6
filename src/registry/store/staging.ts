import { mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { TroupeError } from '../../core/errors.ts'
import { storageError, flush, writeNewFile } from './durable.ts'
import { checkFileName, MAX_FILES } from './file-names.ts'
import { newTag } from './process-tag.ts'
import type { Staging } from './port.ts'

/** A folder below `.staging/` that becomes a version folder by one rename. */
export class StagingFolder implements Staging {
  readonly dir: string
  readonly #names = new Set<string>()
  #gone = false

  private constructor(dir: string) {
    this.dir = dir
  }

  static async create(parent: string): Promise<StagingFolder> {
    const dir = join(parent, newTag())
    try {
      await mkdir(dir)
    } catch (error) {
      throw storageError('create', dir, error)
    }
    return new StagingFolder(dir)
  }

  async write(fileName: string, content: AsyncIterable<Uint8Array>, limitBytes = Infinity): Promise<number> {
    let bytes = 0
    let sourceFailure: { readonly error: unknown } | null = null
    async function* counted(): AsyncGenerator<Uint8Array, void, void> {
      try {
        for await (const chunk of content) {
          bytes += chunk.byteLength
          if (bytes > limitBytes) {
            const message = `${fileName} makes the upload larger than allowed`
            throw new TroupeError('upload_too_large', message, { param: fileName })
          }
          yield chunk
        }
      } catch (error) {
        sourceFailure = { error }
        throw error
      }
    }
    try {
      this.register(fileName)
      await writeNewFile(join(this.dir, fileName), counted())
      return bytes
    } catch (error) {
      await this.discard()
      // What the sender did wrong is not the store's failure.
      throw sourceFailure ? error : storageError('write', fileName, error)
    }
  }

  /** Takes note of a file that is put into the folder, and refuses a wrong or second name. */
  register(fileName: string): void {
    checkFileName(fileName)
    if (this.#gone) throw new TroupeError('invalid_request', 'the upload was already given up', { param: 'files' })
    if (this.#names.has(fileName)) {
      throw new TroupeError('invalid_request', `the upload has ${fileName} twice`, { param: fileName })
    }
    if (this.#names.size >= MAX_FILES) {
      throw new TroupeError('invalid_request', `the upload has more than ${MAX_FILES} files`, { param: 'files' })
    }
    this.#names.add(fileName)
  }

  /** Moves the folder to `target`, at one instant. The caller flushes the folder it moved to. */
  async publish(target: string): Promise<void> {
    await flush(this.dir)
    await rename(this.dir, target)
    this.#gone = true
  }

  async discard(): Promise<void> {
    if (this.#gone) return
    this.#gone = true
    try {
      await rm(this.dir, { recursive: true, force: true })
    } catch (error) {
      throw storageError('remove', this.dir, error)
    }
  }
}
