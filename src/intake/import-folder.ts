import { realpath, stat } from 'node:fs/promises'
import { isAbsolute, join, relative, resolve, sep } from 'node:path'
import { TroupeError } from '../core/errors.ts'
import { errnoOf, storageError } from '../store/filesystem/durable.ts'

/** Folder below the store for what is to be imported by path. */
export const IMPORT_FOLDER = 'import'

/**
 * The folder a path means, links followed. Relative paths begin at the store.
 * @param storeDir null = the store is no folder
 * @param within folder below the store that it must lie in; '' = anywhere in the store but its own hidden folders
 * @throws TroupeError `invalid_request` for a path outside, `not_found` where there is no folder
 */
export async function folderWithin(storeDir: string | null, path: string, within: string): Promise<string> {
  if (storeDir === null) {
    const message = 'lora_path needs a store that is a folder; this server has a bucket: upload the files instead'
    throw new TroupeError('invalid_request', message, { param: 'lora_path' })
  }
  const outside = (): TroupeError => {
    const where = within === '' ? 'the store folder' : `"${within}/" in the store folder`
    return new TroupeError('invalid_request', `lora_path must be a folder in ${where}`, { param: 'lora_path' })
  }
  if (path.includes('\0')) throw outside()
  try {
    const root = await realpath(storeDir)
    const asked = isAbsolute(path) ? path : join(storeDir, path)
    // Said without looking: what lies outside is not even asked whether it exists.
    if (!isInside(resolve(storeDir), resolve(asked)) && !isInside(root, resolve(asked))) throw outside()
    const real = await realpath(asked)
    const base = within === '' ? root : join(root, within)
    if (!isInside(base, real) || relative(root, real).startsWith('.')) throw outside()
    if (!(await stat(real)).isDirectory()) throw outside()
    return real
  } catch (error) {
    const code = errnoOf(error)
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ENAMETOOLONG') {
      throw new TroupeError('not_found', `no adapter was found at ${path}`, { param: 'lora_path' })
    }
    throw storageError('read', path, error)
  }
}

function isInside(base: string, path: string): boolean {
  return path.startsWith(base + sep)
}
