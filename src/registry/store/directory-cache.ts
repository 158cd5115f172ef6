import { readdirSync, statSync } from 'node:fs'
import { errnoOf } from './durable.ts'

/** Names in a directory by kind; links and the like are not followed. */
export interface DirectoryEntries {
  readonly folders: readonly string[]
  readonly files: readonly string[]
}

interface Seen {
  readonly mtimeMs: number
  readonly readAt: number
  readonly entries: DirectoryEntries
}

/**
 * A change within this time of a read may leave the modification time as it was (its clock ticks in milliseconds, on some disks
 * in seconds): such a reading is not trusted again.
 */
const SETTLED_MS = 2_000

/** Shared by the thousands of folders that have no files beside their versions. */
const NONE: readonly string[] = []

/** Directory listings, read again (with blocking calls) when the directory's modification time changed. */
export class DirectoryCache {
  readonly #seen = new Map<string, Seen>()
  readonly #asked = new Set<string>()

  /** Starts a round: directories not asked for until `endRound` are forgotten. */
  beginRound(): void {
    this.#asked.clear()
  }

  endRound(): void {
    for (const path of this.#seen.keys()) if (!this.#asked.has(path)) this.#seen.delete(path)
  }

  /** The same object as before if nothing changed; null if there is no such directory. */
  read(path: string): DirectoryEntries | null {
    this.#asked.add(path)
    try {
      const readAt = Date.now()
      const { mtimeMs } = statSync(path)
      const seen = this.#seen.get(path)
      if (seen && seen.mtimeMs === mtimeMs && seen.readAt - mtimeMs > SETTLED_MS) return seen.entries
      const entries = listEntries(path)
      const kept = seen && sameEntries(seen.entries, entries) ? seen.entries : entries
      this.#seen.set(path, { mtimeMs, readAt, entries: kept })
      return kept
    } catch (error) {
      const code = errnoOf(error)
      if (code === 'ENOENT' || code === 'ENOTDIR') return null
      throw error
    }
  }
}

function listEntries(path: string): DirectoryEntries {
  const folders: string[] = []
  const files: string[] = []
  for (const entry of readdirSync(path, { withFileTypes: true })) {
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
