import type { Dirent } from 'node:fs'
import { SETTLED_MS, waitingDisk } from './disk.ts'
import type { Disk } from './disk.ts'
import { errnoOf } from './durable.ts'

/** Names in a directory by kind; links and the like are not followed. */
export interface DirectoryEntries {
  readonly folders: readonly string[]
  readonly files: readonly string[]
}

const NONE: readonly string[] = []

interface Seen {
  readonly mtimeMs: number
  readonly readAt: number
  readonly entries: DirectoryEntries
}

/** Directory listings that are read again only when the directory's modification time changed. */
export class DirectoryCache {
  readonly #seen = new Map<string, Seen>()
  readonly #asked = new Set<string>()

  /** Starts a round: directories not asked for until `endRound` are forgotten. */
  beginRound(): void {
    this.#asked.clear()
  }

  endRound(): void {
    for (const key of this.#seen.keys()) if (!this.#asked.has(key)) this.#seen.delete(key)
    this.#asked.clear()
  }

  /**
   * The same object as before if nothing changed; null if there is no such directory.
   * @param key what the directory is remembered by: a text that lives anyway, so that thousands of paths need not
   */
  async read(path: string, key = path, disk: Disk = waitingDisk): Promise<DirectoryEntries | null> {
    this.#asked.add(key)
    try {
      const readAt = Date.now()
      const { mtimeMs } = await disk.stat(path)
      const seen = this.#seen.get(key)
      if (seen && seen.mtimeMs === mtimeMs && seen.readAt - mtimeMs > SETTLED_MS) return seen.entries
      const entries = listEntries(await disk.entries(path))
      const kept = seen && sameEntries(seen.entries, entries) ? seen.entries : entries
      this.#seen.set(key, { mtimeMs, readAt, entries: kept })
      return kept
    } catch (error) {
      const code = errnoOf(error)
      if (code === 'ENOENT' || code === 'ENOTDIR') return null
      throw error
    }
  }
}

function listEntries(found: readonly Dirent[]): DirectoryEntries {
  const folders: string[] = []
  const files: string[] = []
  for (const entry of found) {
    if (entry.isDirectory()) folders.push(entry.name)
    else if (entry.isFile()) files.push(entry.name)
  }
  return { folders: folders.length > 0 ? folders.sort() : NONE, files: files.length > 0 ? files.sort() : NONE }
}

function sameEntries(a: DirectoryEntries, b: DirectoryEntries): boolean {
  return sameList(a.folders, b.folders) && sameList(a.files, b.files)
}

function sameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((item, index) => item === b[index])
}
