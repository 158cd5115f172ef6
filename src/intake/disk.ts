import { TroupeError } from '../core/errors.ts'

/**
 * Does something with files.
 *
 * @throws TroupeError `storage_error` naming the path when the system refuses it; other errors as they are
 */
export async function onDisk<T>(action: string, path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    if (!(cause instanceof Error) || !('syscall' in cause)) throw cause
    throw new TroupeError('storage_error', `cannot ${action} ${path}: ${cause.message}`, { param: path, cause })
  }
}
