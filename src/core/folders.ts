import { mkdirSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'

/**
 * Makes a folder and those above it where they are missing. Not `mkdir` with `recursive`: Node never returns from that where the kernel
 * answers "no such folder" for a name inside a folder that exists, as it does below `/proc`.
 *
 * @returns the folders that it made, the outermost first
 * @throws the system's error, with its `code`
 */
export function makeFolder(path: string): readonly string[] {
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
