import { mkdir, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { isStale, newTag } from './process-tag.ts'
import { storageError } from './durable.ts'

/** A folder for what is not finished: uploads and files on their way into the store. Every entry says which process made it. */
export class WorkFolder {
  readonly dir: string

  private constructor(dir: string) {
    this.dir = dir
  }

  /** Makes the folder if it is missing, and removes what processes that ended left in it. Others' work in progress stays. */
  static async open(dir: string): Promise<WorkFolder> {
    try {
      await mkdir(dir, { recursive: true })
      for (const name of await readdir(dir)) {
        const path = join(dir, name)
        const age = await stat(path).then(
          ({ mtimeMs }) => Date.now() - mtimeMs,
          () => Infinity,
        )
        if (isStale(name, age)) await rm(path, { recursive: true, force: true })
      }
    } catch (error) {
      throw storageError('use the folder', dir, error)
    }
    return new WorkFolder(dir)
  }

  /** A path in it that nothing has yet. */
  newPath(): string {
    return join(this.dir, newTag())
  }
}
