import { rm, rmdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { errnoOf, storageError } from './durable.ts'
import type { DroppedFolder } from './port.ts'

/** Removes files that were taken, and the folder if nothing else is in it (never the adapter's own folder). */
export async function clearDropped(
  folder: DroppedFolder,
  taken: readonly string[],
  adapterFolder: string,
): Promise<void> {
  try {
    for (const { name, size, mtimeMs } of folder.files) {
      if (!taken.includes(name)) continue
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
