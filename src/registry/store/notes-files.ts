import { readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { AdapterNotes } from '../adapter-notes.ts'
import { parseNotes, renderNotes } from '../adapter-notes.ts'
import { errnoOf, replaceFile } from './durable.ts'

/** In an adapter's folder; the dot keeps it out of what is taken for an adapter's files. */
export const NOTES_FILE = '.notes.json'

interface Seen {
  readonly mtimeMs: number
  readonly size: number
  readonly ino: number
  readonly notes: AdapterNotes
}

/** The notes of adapters: one small document each, only where somebody wrote one. */
export class NotesFiles {
  readonly #seen = new Map<string, Seen>()

  /** The same object as before while the file stays the same; null if there is none. */
  async get(adapterFolder: string): Promise<AdapterNotes | null> {
    const path = join(adapterFolder, NOTES_FILE)
    try {
      const { mtimeMs, size, ino } = await stat(path)
      const seen = this.#seen.get(path)
      if (seen && seen.mtimeMs === mtimeMs && seen.size === size && seen.ino === ino) return seen.notes
      const notes = parseNotes(await readFile(path, 'utf8'))
      this.#seen.set(path, { mtimeMs, size, ino, notes })
      return notes
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error
      this.#seen.delete(path)
      return null
    }
  }

  /** @param temporary path for the new text before it takes its place */
  async put(adapterFolder: string, notes: AdapterNotes, temporary: string): Promise<void> {
    try {
      await replaceFile(join(adapterFolder, NOTES_FILE), renderNotes(notes), temporary)
    } catch (error) {
      await rm(temporary, { force: true })
      throw error
    }
  }

  async delete(adapterFolder: string): Promise<void> {
    await rm(join(adapterFolder, NOTES_FILE), { force: true })
  }
}
