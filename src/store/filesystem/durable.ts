import { open, writeFile } from 'node:fs/promises'
import { TroupeError, messageOf } from '../../core/errors.ts'

/** The system's code of a file error (`ENOENT` …), or undefined. */
export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined
}

/** A file error as the client may see it; TroupeErrors pass through. */
export function storageError(action: string, path: string, cause: unknown): TroupeError {
  if (cause instanceof TroupeError) return cause
  return new TroupeError('storage_error', `cannot ${action} ${path}: ${messageOf(cause)}`, { param: path, cause })
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
export async function writeNewFile(
  path: string,
  content: string | Uint8Array | AsyncIterable<Uint8Array>,
): Promise<void> {
  const handle = await open(path, 'wx')
  try {
    await writeFile(handle, content)
    await handle.sync()
  } finally {
    await handle.close()
  }
}
