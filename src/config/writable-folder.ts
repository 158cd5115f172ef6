import { accessSync, constants, mkdirSync, mkdtempSync, rmdirSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { TroupeError, messageOf } from '../core/errors.ts'
import { flagOf } from './schema.ts'

const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'this user has no right to do that',
  EPERM: 'the system does not allow it',
  EROFS: 'the file system is mounted read-only',
  ENOSPC: 'the disk is full',
  ENOTDIR: 'a part of the path is a file',
  ENOENT: 'the system does not allow new folders there',
}

/** What the folder of a setting is called in messages. */
const NAMES = { store: 'the store', cacheDir: 'the folder of prepared models' } as const

/**
 * Makes a folder that the server writes to where it is missing, and shows that something can be written into it.
 *
 * @returns the folders that were made, the outermost first
 * @throws TroupeError `invalid_config` naming the setting, the folder and what is wrong with it
 */
export function ensureWritableFolder(setting: keyof typeof NAMES, path: string): readonly string[] {
  const attempt = <T>(problem: string, action: () => T): T => {
    try {
      return action()
    } catch (cause) {
      const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
      const reason = REASONS[code] ?? messageOf(cause)
      const fix = `give this user the right to read and write it, or choose another with ${flagOf(setting)}`
      throw new TroupeError('invalid_config', `${NAMES[setting]} ${path} ${problem}: ${reason}; ${fix}`, {
        param: setting,
        cause,
      })
    }
  }
  const made = attempt('cannot be made', () => makeFolder(path))
  attempt('cannot be read', () => accessSync(path, constants.R_OK | constants.X_OK))
  attempt('cannot be written to', () => rmdirSync(mkdtempSync(join(path, '.writable-'))))
  return made
}

/**
 * Makes a folder and those above it where they are missing. Not `mkdir` with `recursive`: Node never returns from that where the kernel
 * answers "no such folder" for a name inside a folder that exists, as it does below `/proc`.
 *
 * @returns the folders that it made, the outermost first
 * @throws the system's error, with its `code`
 */
function makeFolder(path: string): readonly string[] {
  const missing: string[] = []
  let folder = resolve(path)
  while (!isFolder(folder)) {
    missing.unshift(folder)
    folder = dirname(folder)
  }
  return missing.filter(makeOne)
}

/** Throws `ENOTDIR` for a file and whatever the system says but "not there". */
function isFolder(path: string): boolean {
  const found = statSync(path, { throwIfNoEntry: false })
  if (found && !found.isDirectory())
    throw Object.assign(new Error(`${path} is a file, not a folder`), { code: 'ENOTDIR' })
  return found !== undefined
}

/** False when another process made the same folder at the same time. */
function makeOne(path: string): boolean {
  try {
    mkdirSync(path)
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
    throw error
  }
}
