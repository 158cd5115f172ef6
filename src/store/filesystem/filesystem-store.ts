import { constants, copyFile, link, mkdir, readdir, readFile, rm, rmdir, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { TroupeError } from '../../core/errors.ts'
import type { Body, Store } from '../port.ts'
import { checkKey } from '../port.ts'
import { errnoOf, flush, storageError, writeNewFile } from './durable.ts'
import { WorkFolder } from './work-folder.ts'

/** Its presence says that the folder is still the one that was opened, and not an empty place where a disk was mounted. */
const MARK = 'journal'

/**
 * A folder as a store: every key is a file. A file comes by `link`, which fails where something is, after its content was flushed; then the folder's entry is
 * flushed. What is half done lies in `.staging/`.
 */
export class FilesystemStore implements Store {
  readonly name: string
  readonly work: WorkFolder

  private constructor(root: string, work: WorkFolder) {
    this.name = root
    this.work = work
  }

  /** Makes the folder if it is missing. @throws TroupeError `storage_error` naming the path */
  static async open(root: string): Promise<FilesystemStore> {
    try {
      await mkdir(join(root, MARK), { recursive: true })
    } catch (error) {
      throw storageError('open the store', root, error)
    }
    return new FilesystemStore(root, await WorkFolder.open(join(root, '.staging')))
  }

  /** Where the value of a key lies. */
  pathOf(key: string): string {
    checkKey(key)
    return join(this.name, key)
  }

  async put(key: string, body: Body): Promise<boolean> {
    const path = this.pathOf(key)
    const temporary = this.work.newPath()
    try {
      if (!(body instanceof Uint8Array)) return await this.#putFile(body.file, temporary, path)
      await writeNewFile(temporary, body)
      return await this.#link(temporary, path)
    } catch (error) {
      throw storageError('write', path, error)
    } finally {
      await rm(temporary, { force: true }).catch(() => undefined)
    }
  }

  async get(key: string): Promise<Uint8Array | null> {
    return this.#read(key, (path) => readFile(path))
  }

  async fetch(key: string, path: string): Promise<boolean> {
    const found = await this.#read(key, async (source) => {
      await copyFile(source, path, constants.COPYFILE_EXCL)
      return true
    })
    return found ?? false
  }

  async list(prefix: string, after = ''): Promise<readonly string[]> {
    const keys: string[] = []
    const walk = async (folder: string): Promise<void> => {
      for (const entry of await readdir(join(this.name, folder), { withFileTypes: true })) {
        const key = `${folder}${entry.name}`
        if (entry.isDirectory()) await walk(`${key}/`)
        else if (key > after) keys.push(key)
      }
    }
    try {
      await walk(prefix)
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw storageError('list', join(this.name, prefix), error)
      await this.#mustBeThere()
    }
    return keys.sort()
  }

  async delete(key: string): Promise<void> {
    const path = this.pathOf(key)
    try {
      await rm(path, { force: true })
      // Folders that keys made go with the last key below them; the top ones stay.
      for (let folder = dirname(key); folder.includes('/'); folder = dirname(folder))
        await rmdir(join(this.name, folder))
    } catch (error) {
      const code = errnoOf(error)
      if (code !== 'ENOTEMPTY' && code !== 'EEXIST' && code !== 'ENOENT') throw storageError('delete', path, error)
    }
  }

  async close(): Promise<void> {}

  /** The file itself where it lies on the same disk, else a copy. */
  async #putFile(file: string, temporary: string, path: string): Promise<boolean> {
    await flush(file)
    try {
      return await this.#link(file, path)
    } catch (error) {
      if (errnoOf(error) !== 'EXDEV') throw error
    }
    await copyFile(file, temporary, constants.COPYFILE_EXCL)
    await flush(temporary)
    return this.#link(temporary, path)
  }

  async #link(from: string, path: string): Promise<boolean> {
    try {
      await link(from, path)
    } catch (error) {
      if (errnoOf(error) === 'EEXIST') return false
      if (errnoOf(error) !== 'ENOENT') throw error
      // Never the root itself: if that is gone, the store is.
      await this.#mustBeThere()
      await makeFolder(this.name, dirname(path))
      return this.#link(from, path)
    }
    await flush(dirname(path))
    return true
  }

  async #read<T>(key: string, read: (path: string) => Promise<T>): Promise<T | null> {
    const path = this.pathOf(key)
    try {
      return await read(path)
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw storageError('read', path, error)
    }
    await this.#mustBeThere()
    return null
  }

  async #mustBeThere(): Promise<void> {
    try {
      if ((await stat(join(this.name, MARK))).isDirectory()) return
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw storageError('use the store', this.name, error)
    }
    throw new TroupeError('storage_error', `the store folder ${this.name} is gone`, { param: this.name })
  }
}

/** Makes a folder below `root` durably, with the folders between. */
async function makeFolder(root: string, dir: string): Promise<void> {
  if (dir === root) return
  try {
    await mkdir(dir)
    await flush(dirname(dir))
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return
    if (errnoOf(error) !== 'ENOENT') throw error
    await makeFolder(root, dirname(dir))
    await makeFolder(root, dir)
  }
}
