import { constants } from 'node:fs'
import { copyFile, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { onDisk } from './disk.ts'
import type { FolderEntry } from './folder-report.ts'

/** Something with the files of a folder in it. */
export interface FolderSource {
  /** The folder itself, where there is one on disk. */
  readonly dir: string | null
  /** All files, with paths from the folder on. */
  readonly entries: readonly FolderEntry[]
  /**
   * Puts files at new places. Who stores them flushes them.
   *
   * @param targets absolute paths by the path of an entry
   */
  copy(targets: ReadonlyMap<string, string>): Promise<void>
}

/** A folder elsewhere. What its parts throw says what was answered there. */
export interface RemoteFolder {
  readonly files: AsyncIterable<FolderEntry>
  read(path: string): Promise<AsyncIterable<Uint8Array>>
}

/** A folder on disk, which stays as it is. Of the folders in it one level is looked at; links to files count as files. */
export async function folderSource(dir: string): Promise<FolderSource> {
  return {
    dir,
    entries: await onDisk('read', dir, () => filesIn(dir, true)),
    copy: (targets) =>
      onDisk('copy', dir, async () => {
        for (const [path, target] of targets) {
          // Never a hard link: whoever trains again into the same folder would write into the store.
          await copyFile(join(dir, path), target, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE)
        }
      }),
  }
}

async function filesIn(dir: string, deeper: boolean): Promise<FolderEntry[]> {
  const entries: FolderEntry[] = []
  for (const name of await readdir(dir)) {
    const found = await stat(join(dir, name)).catch(() => null)
    if (found?.isFile()) entries.push({ path: name, bytes: found.size })
    if (!found?.isDirectory() || !deeper) continue
    const inner = await filesIn(join(dir, name), false)
    // A folder without files of its own is still something that lies there.
    const shown = inner.length > 0 ? inner : [{ path: '…', bytes: 0 }]
    entries.push(...shown.map(({ path, bytes }) => ({ path: `${name}/${path}`, bytes })))
  }
  return entries
}
