import { mkdir, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { ownerOf } from '../names.ts'
import { errnoOf, flush } from './durable.ts'

/** Makes an adapter's folder, durably, where it is missing. Never makes `root`, the folder of all adapters: if that is gone, the store is. */
export async function makeAdapterFolder(root: string, adapter: string): Promise<void> {
  let parent = root
  for (const part of adapter.split('/')) {
    const dir = join(parent, part)
    try {
      await mkdir(dir)
      await flush(parent)
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error
    }
    parent = dir
  }
}

/** Removes the folders of an adapter and its owner as far as nothing lies in them. */
export async function removeEmptyFolders(root: string, adapter: string): Promise<void> {
  for (let name: string | null = adapter; name !== null; name = ownerOf(name)) {
    await rmdir(join(root, name)).catch((error: unknown) => {
      const code = errnoOf(error)
      if (code !== 'ENOTEMPTY' && code !== 'EEXIST' && code !== 'ENOENT') throw error
    })
  }
}
