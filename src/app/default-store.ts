import { cpSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { defaultStore, packagePath } from '../config/defaults.ts'
import { TroupeError } from '../core/errors.ts'

/** What the package brings along: a store with the demo's adapters and tasks, only ever read. */
const TEMPLATE = 'adapters-store'

/**
 * Fills the default store, in the user's data folder, from the template when it is used for the first time. Any other store begins empty.
 *
 * @throws TroupeError `storage_error`
 */
export function fillDefaultStore(location: string): void {
  if (location !== defaultStore() || existsSync(location)) return
  const partial = `${location}.${process.pid}.partial`
  try {
    mkdirSync(dirname(location), { recursive: true })
    cpSync(packagePath(TEMPLATE), partial, { recursive: true })
    renameSync(partial, location)
  } catch (cause) {
    rmSync(partial, { recursive: true, force: true })
    // Another server that starts for the first time was quicker.
    if (existsSync(location)) return
    const detail = cause instanceof Error ? cause.message : String(cause)
    throw new TroupeError('storage_error', `cannot fill the store ${location}: ${detail}`, { param: location, cause })
  }
}
