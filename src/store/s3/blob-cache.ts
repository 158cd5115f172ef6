import { mkdir, readdir, rename, rm, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { TroupeError } from '../../core/errors.ts'
import type { BlobId, LocalBlobs } from '../blobs.ts'
import { blobPrefix } from '../blobs.ts'
import { errnoOf, storageError } from '../filesystem/durable.ts'
import type { WorkFolder } from '../filesystem/work-folder.ts'
import type { Store } from '../port.ts'

/** What this run knows of a cached blob. */
interface Cached {
  readonly bytes: number
  /** For the order in which they go: the longest unused first. */
  readonly usedMs: number
}

/**
 * Blobs of a bucket on a local disk, within a budget of bytes; what was not used longest goes first. Several servers of one machine may share the folder. Who
 * reads the files compares their digest, and calls `discard` where it differs.
 */
export class BlobCache implements LocalBlobs {
  readonly #store: Store
  readonly #dir: string
  readonly #budgetBytes: number
  readonly #work: WorkFolder
  #lastUseMs = 0
  readonly #cached = new Map<string, Cached>()
  readonly #coming = new Map<string, Promise<string>>()

  private constructor(store: Store, dir: string, budgetBytes: number, work: WorkFolder) {
    this.#store = store
    this.#dir = dir
    this.#budgetBytes = budgetBytes
    this.#work = work
  }

  /** @param dir folder of the cached blobs; made if missing */
  static async open(store: Store, dir: string, budgetBytes: number, work: WorkFolder): Promise<BlobCache> {
    const cache = new BlobCache(store, dir, budgetBytes, work)
    try {
      await mkdir(dir, { recursive: true })
      for (const name of await readdir(dir)) {
        const found = await look(join(dir, name))
        if (found) cache.#cached.set(name, found)
      }
    } catch (error) {
      throw storageError('use the cache', dir, error)
    }
    return cache
  }

  async folder(id: BlobId): Promise<string> {
    const name = nameOf(id)
    const path = join(this.#dir, name)
    const known = this.#cached.get(name)
    if (known && (await isFolder(path))) {
      const now = new Date()
      this.#cached.set(name, { ...known, usedMs: this.#tick() })
      await utimes(path, now, now).catch(() => undefined)
      return path
    }
    const coming = this.#coming.get(name) ?? this.#bring(id, name).finally(() => this.#coming.delete(name))
    this.#coming.set(name, coming)
    return coming
  }

  async discard(id: BlobId): Promise<boolean> {
    const name = nameOf(id)
    this.#cached.delete(name)
    await rm(join(this.#dir, name), { recursive: true, force: true })
    return true
  }

  /** The time, and never the same twice: files that are used within a millisecond have an order too. */
  #tick(): number {
    return (this.#lastUseMs = Math.max(Date.now(), this.#lastUseMs + 0.001))
  }

  async #bring(id: BlobId, name: string): Promise<string> {
    const partial = this.#work.newPath()
    const path = join(this.#dir, name)
    try {
      const prefix = blobPrefix(id)
      const keys = await this.#store.list(prefix)
      if (keys.length === 0) {
        const message = `the files of version ${id.digest} are not in ${this.#store.name}: it was deleted, or they were`
        throw new TroupeError('version_not_found', message)
      }
      await mkdir(partial)
      for (const key of keys) await this.#store.fetch(key, join(partial, key.slice(prefix.length)))
      const bytes = await sizeOf(partial)
      await this.#makeRoom(bytes)
      // Another server of this machine may have brought the same.
      await rename(partial, path).catch(async (error: unknown) => {
        if (!(await isFolder(path))) throw error
      })
      this.#cached.set(name, { bytes, usedMs: this.#tick() })
      return path
    } catch (error) {
      throw storageError('cache', path, error)
    } finally {
      await rm(partial, { recursive: true, force: true })
    }
  }

  async #makeRoom(bytes: number): Promise<void> {
    let used = [...this.#cached.values()].reduce((sum, cached) => sum + cached.bytes, bytes)
    for (const [name, cached] of [...this.#cached].sort(([, a], [, b]) => a.usedMs - b.usedMs)) {
      if (used <= this.#budgetBytes) return
      this.#cached.delete(name)
      await rm(join(this.#dir, name), { recursive: true, force: true })
      used -= cached.bytes
    }
  }
}

/** Null = another server of this machine has just removed it. */
async function look(path: string): Promise<Cached | null> {
  try {
    return { usedMs: (await stat(path)).mtimeMs, bytes: await sizeOf(path) }
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null
    throw error
  }
}

function nameOf({ digest, blob }: BlobId): string {
  return `${digest.slice('sha256:'.length)}-${blob}`
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (stats) => stats.isDirectory(),
    () => false,
  )
}

async function sizeOf(dir: string): Promise<number> {
  const sizes = await Promise.all((await readdir(dir)).map(async (name) => (await stat(join(dir, name))).size))
  return sizes.reduce((sum, size) => sum + size, 0)
}
