import { join } from 'node:path'
import type { Rejection } from '../rejections.ts'
import { parseRejections, renderRejections } from '../rejections.ts'
import { waitingDisk } from './disk.ts'
import type { Disk } from './disk.ts'
import { errnoOf, replaceFile } from './durable.ts'
import type { DamagedEntry } from './port.ts'

export const REJECTIONS_FILE = '.rejected.json'

interface Seen {
  readonly mtimeMs: number
  readonly ino: number
  readonly rejections: readonly Rejection[]
  readonly damaged: readonly DamagedEntry[]
}

const NONE: Pick<Seen, 'rejections' | 'damaged'> = { rejections: [], damaged: [] }

/** The refused uploads of all adapters: one small document, replaced by one rename. */
export class RejectionsFile {
  readonly path: string
  #seen: Seen | null = null

  /** @param root folder of the store */
  constructor(root: string) {
    this.path = join(root, REJECTIONS_FILE)
  }

  /** The same list as before while the file stays the same. */
  async list(disk: Disk): Promise<Pick<Seen, 'rejections' | 'damaged'>> {
    try {
      const { mtimeMs, ino } = await disk.stat(this.path)
      if (this.#seen?.mtimeMs === mtimeMs && this.#seen.ino === ino) return this.#seen
      this.#seen = { mtimeMs, ino, ...this.#read(await disk.text(this.path)) }
      return this.#seen
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error
      return NONE
    }
  }

  /**
   * Replaces the list by what `change` makes of it; a damaged one begins anew.
   * @param temporary path for the new text before it takes its place
   */
  async change(change: (rejections: readonly Rejection[]) => readonly Rejection[], temporary: string): Promise<void> {
    const { rejections } = await this.list(waitingDisk)
    await replaceFile(this.path, renderRejections(change(rejections)), temporary)
  }

  #read(text: string): Pick<Seen, 'rejections' | 'damaged'> {
    try {
      return { rejections: parseRejections(text), damaged: [] }
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      return {
        rejections: [],
        damaged: [{ kind: 'rejections', name: REJECTIONS_FILE, digest: null, path: this.path, message }],
      }
    }
  }
}
