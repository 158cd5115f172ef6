import { copyFile, link, rm, rmdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { isPickleName, pickleRefusal } from '../../adapters/pickle.ts'
import { errnoOf, storageError, flush } from './durable.ts'
import { isAdapterFile } from './file-names.ts'
import type { DroppedFolder } from './port.ts'
import type { StagingFolder } from './staging.ts'

/**
 * Links a dropped folder's adapter files into a staging folder. The originals stay until the version is stored, so that neither a
 * crash nor a refusal costs anybody a file.
 * @throws TroupeError `pickle_refused` when the weights are there only as a pickle
 */
export async function stageDropped(folder: DroppedFolder, staging: StagingFolder): Promise<StagingFolder> {
  try {
    const names = adapterFiles(folder)
    const pickle = folder.files.find(({ name }) => isPickleName(name))
    if (pickle && !names.some((name) => name.endsWith('.safetensors'))) {
      throw pickleRefusal(pickle.name, 'adapter_model.safetensors')
    }
    for (const name of names) {
      staging.register(name)
      await linkOrCopy(join(folder.dir, name), join(staging.dir, name))
    }
    return staging
  } catch (error) {
    await staging.discard()
    throw storageError('stage', folder.dir, error)
  }
}

/** Removes the files that were staged, and the folder if nothing else is in it (never the adapter's own folder). */
export async function clearDropped(folder: DroppedFolder, adapterFolder: string): Promise<void> {
  try {
    for (const { name, size, mtimeMs } of folder.files) {
      if (!isAdapterFile(name)) continue
      const path = join(folder.dir, name)
      const now = await stat(path)
      // Somebody put another file there meanwhile: that one was not stored.
      if (now.size === size && now.mtimeMs === mtimeMs) await rm(path)
    }
    if (folder.dir !== adapterFolder) await rmdir(folder.dir)
  } catch (error) {
    const code = errnoOf(error)
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST' && code !== 'ENOENT') throw storageError('clear', folder.dir, error)
  }
}

function adapterFiles(folder: DroppedFolder): string[] {
  return folder.files.map(({ name }) => name).filter(isAdapterFile)
}

async function linkOrCopy(from: string, to: string): Promise<void> {
  try {
    await link(from, to)
  } catch (error) {
    const code = errnoOf(error)
    // Some disks have no hard links, and some folders are mounts of another disk.
    if (code !== 'EXDEV' && code !== 'EPERM' && code !== 'ENOTSUP' && code !== 'EMLINK') throw error
    await copyFile(from, to)
  }
  await flush(to)
}
