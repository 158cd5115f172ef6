import { constants, copyFile, mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { TroupeError } from '../core/errors.ts'
import { storageError, writeNewFile } from '../store/filesystem/durable.ts'
import type { WorkFolder } from '../store/filesystem/work-folder.ts'
import { checkFileName, MAX_FILES } from './file-names.ts'

/** A private folder for the files of one upload. Nothing in it is visible before it became a version. */
export class Staging {
  readonly dir: string
  readonly #names = new Set<string>()
  #gone = false

  private constructor(dir: string) {
    this.dir = dir
  }

  static async create(work: WorkFolder): Promise<Staging> {
    const dir = work.newPath()
    try {
      await mkdir(dir)
    } catch (error) {
      throw storageError('create', dir, error)
    }
    return new Staging(dir)
  }

  /**
   * Writes one file and returns its size; more than `limitBytes` are refused. A failure discards the whole folder.
   * @throws TroupeError `invalid_request` or `pickle_refused` for the name, `upload_too_large`, `storage_error`
   */
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
      this.#register(fileName)
      await writeNewFile(join(this.dir, fileName), counted())
      return bytes
    } catch (error) {
      await this.discard()
      // What the sender did wrong is not the store's failure.
      throw sourceFailure ? error : storageError('write', fileName, error)
    }
  }

  /** Copies files of another folder; they stay where they are. @throws TroupeError as `write` */
  async copyFrom(dir: string, fileNames: readonly string[]): Promise<void> {
    try {
      for (const name of fileNames) {
        this.#register(name)
        await copyFile(join(dir, name), join(this.dir, name), constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE)
      }
    } catch (error) {
      await this.discard()
      throw storageError('stage', dir, error)
    }
  }

  /** Removes what is left of it. Idempotent. */
  async discard(): Promise<void> {
    if (this.#gone) return
    this.#gone = true
    try {
      await rm(this.dir, { recursive: true, force: true })
    } catch (error) {
      throw storageError('remove', this.dir, error)
    }
  }

  /** Refuses a wrong or second name. */
  #register(fileName: string): void {
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
}
