import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { AdapterNotes } from '../adapter-notes.ts'
import { parseNotes, renderNotes } from '../adapter-notes.ts'
import type { Disk, Mark } from './disk.ts'
import { sameMark, waitingDisk } from './disk.ts'
import { errnoOf, replaceFile } from './durable.ts'

/** In an adapter's folder; the dot keeps it out of what is taken for an adapter's files. */
export const NOTES_FILE = '.notes.json'

interface Seen {
  readonly mark: Mark
  readonly notes: AdapterNotes
}

/** The notes of adapters: one small document each, only where somebody wrote one. */
export class NotesFiles {
  readonly #seen = new Map<string, Seen>()

  /** The same object as before while the file stays the same; null if there is none. */
  async get(adapterFolder: string, disk: Disk = waitingDisk): Promise<AdapterNotes | null> {
    const path = join(adapterFolder, NOTES_FILE)
    try {
      const { mtimeMs, size, ino } = await disk.stat(path)
      const mark = { mtimeMs, size, ino }
      const seen = this.#seen.get(path)
      if (seen && sameMark(seen.mark, mark)) return seen.notes
      const notes = parseNotes(await disk.text(path))
      this.#seen.set(path, { mark, notes })
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
