import { folderSource } from '../intake/folder-source.ts'
import { takeFiles } from '../intake/take-files.ts'
import type { RegistryParts } from './assembly.ts'
import { folderWithin } from './import-folder.ts'
import type { AddedVersion, Origin } from './intake.ts'
import type { Staging } from './store/port.ts'

type UploadParts = Pick<RegistryParts, 'store' | 'storeDir' | 'intake' | 'uploads' | 'pins'>

/** The way in for files: staged, then read, checked, probed and published. */
export class Uploads {
  readonly counts = { uploads: 0, refusedUploads: 0 }
  readonly #parts: UploadParts
  readonly #refuseIfClosing: () => void

  constructor(parts: UploadParts, refuseIfClosing: () => void) {
    this.#parts = parts
    this.#refuseIfClosing = refuseIfClosing
  }

  async stage(): Promise<Staging> {
    this.#refuseIfClosing()
    return this.#parts.store.stage()
  }

  async add(name: string, staging: Staging, origin: Origin): Promise<AddedVersion> {
    try {
      this.#refuseIfClosing()
      const added = await this.#parts.intake.add(name, staging, origin)
      this.counts.uploads++
      await this.#parts.uploads.forget(name)
      this.#parts.pins.follow()
      return added
    } catch (error) {
      this.counts.refusedUploads++
      await staging.discard()
      throw error
    }
  }

  async importFolder(name: string, path: string, within: string, by: string): Promise<AddedVersion> {
    const { store, storeDir } = this.#parts
    const source = await folderSource(await folderWithin(storeDir, path, within))
    const staging = await store.stage()
    try {
      await takeFiles(source, staging.dir)
    } catch (error) {
      await staging.discard()
      throw error
    }
    return this.add(name, staging, { source: 'folder', by })
  }
}
