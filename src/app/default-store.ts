import { cpSync, readdirSync, realpathSync, renameSync, rmdirSync, rmSync } from 'node:fs'
import { defaultStore, packagePath } from '../config/defaults.ts'
import { TroupeError, messageOf } from '../core/errors.ts'

/** The store that comes with the package: the demo's adapters and tasks. Only ever read. */
const TEMPLATE = 'adapters-store'

/**
 * Fills the default store, in the user's data folder, from the template while it is still an empty folder. Any other store begins empty.
 *
 * @throws TroupeError `storage_error`
 */
export function fillDefaultStore(location: string): void {
  if (location !== defaultStore() || !isEmpty(location)) return
  const folder = realpathSync(location)
  const partial = `${folder}.${process.pid}.partial`
  try {
    cpSync(packagePath(TEMPLATE), partial, { recursive: true })
    rmdirSync(folder)
    renameSync(partial, folder)
  } catch (cause) {
    rmSync(partial, { recursive: true, force: true })
    // A mounted folder cannot be replaced: it begins empty, as any store that somebody set up.
    if (cause instanceof Error && 'code' in cause && cause.code === 'EBUSY') return
    // Another server that starts for the first time was quicker.
    if (!isEmpty(location)) return
    throw new TroupeError('storage_error', `cannot fill the store ${location}: ${messageOf(cause)}`, {
      param: location,
      cause,
    })
  }
}

function isEmpty(folder: string): boolean {
  return readdirSync(folder).length === 0
}
