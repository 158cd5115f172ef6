import { mkdir, rm } from 'node:fs/promises'
import { storageError } from '../store/filesystem/durable.ts'
import type { WorkFolder } from '../store/filesystem/work-folder.ts'

/** A private folder for the files of one upload. Nothing in it is visible before it became a version. */
export class Staging {
  readonly dir: string
  #gone = false

  private constructor(dir: string) {
    this.dir = dir
  }

  /** @throws TroupeError `storage_error` */
  static async create(work: WorkFolder): Promise<Staging> {
    const dir = work.newPath()
    try {
      await mkdir(dir)
    } catch (error) {
      throw storageError('create', dir, error)
    }
    return new Staging(dir)
  }

  /** Removes what is left of it. Idempotent. @throws TroupeError `storage_error` */
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
