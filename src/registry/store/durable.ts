import { open, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { TroupeError } from '../../core/errors.ts'

/** The system's code of a file error (`ENOENT` …), or undefined. */
export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined
}

/** A file error as the client may see it; TroupeErrors pass through. */
export function storageError(action: string, path: string, cause: unknown): TroupeError {
  if (cause instanceof TroupeError) return cause
  const detail = cause instanceof Error ? cause.message : String(cause)
  return new TroupeError('storage_error', `cannot ${action} ${path}: ${detail}`, { param: path, cause })
}

/** Flushes a file's content, or a folder's entries, so that it survives a power cut. */
export async function flush(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Writes and flushes a new file. Fails when it exists. */
export async function writeNewFile(path: string, content: string | AsyncIterable<Uint8Array>): Promise<void> {
  const handle = await open(path, 'wx')
  try {
    await writeFile(handle, content)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Replaces a file at one instant: readers see the old text or the new, also after a crash. `temporary` is on the same disk. */
export async function replaceFile(path: string, content: string, temporary: string): Promise<void> {
  try {
    await writeNewFile(temporary, content)
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
  await flush(dirname(path))
}

/** Whether something is there, of whatever kind. */
export async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}

/** Removes a folder with all that is in it; what is not there is no failure. */
export async function removeTree(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true })
  } catch (error) {
    throw storageError('remove', path, error)
  }
}
