import { Serial } from '../serial.ts'
import type { AdapterListing } from './adapter-listing.ts'
import type { StoreListing } from './port.ts'
import type { RejectionsFile } from './rejections-file.ts'
import { SurveyedDisk } from './surveyed-disk.ts'
import type { TaskFiles } from './task-files.ts'

interface ListedParts {
  readonly adapters: AdapterListing
  readonly tasks: TaskFiles
  readonly rejections: RejectionsFile
}

/** What the store's folder holds, listed anew only when something in it changed. */
export class KeptListing {
  readonly #parts: ListedParts
  readonly #disk: SurveyedDisk
  readonly #turns = new Serial()
  #listing: StoreListing | null = null

  /** @param surveyedFrom how many folders and files make it worth a thread to see changes */
  constructor(parts: ListedParts, surveyedFrom: number) {
    this.#parts = parts
    this.#disk = new SurveyedDisk(surveyedFrom)
  }

  /** The same object as before where nothing changed. */
  async get(): Promise<StoreListing> {
    return this.#turns.run(async () => {
      try {
        if ((await this.#disk.begin()) && this.#listing) return this.#listing
        const listing = await this.#list()
        this.#disk.end()
        // What is damaged is tried again each time, and the files of dropped folders are watched.
        this.#listing = listing.damaged.length + listing.dropped.length === 0 ? listing : null
        return listing
      } catch (error) {
        this.#disk.giveUp()
        throw error
      }
    })
  }

  async close(): Promise<void> {
    await this.#disk.close()
  }

  async #list(): Promise<StoreListing> {
    const disk = this.#disk
    const adapters = await this.#parts.adapters.list(disk)
    const tasks = await this.#parts.tasks.list(disk)
    const { rejections, damaged } = await this.#parts.rejections.list(disk)
    return { ...adapters, tasks: tasks.tasks, rejections, damaged: [...adapters.damaged, ...tasks.damaged, ...damaged] }
  }
}
